"use strict";
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const by = (id) => document.getElementById(id);
  const [beginning, answer, told, write, more, stop, copy, surprisal] =
    ["beginning", "answer", "told", "write", "more", "stop", "copy", "surprisal"].map(by);
  // The browser is given its turn after so many milliseconds of work.
  const SLICE = 14, MOST_BITS = 8, ALTERNATIVES = 5, MOST_UNKNOWN = 8;
  const vocabulary = new seqlm.Vocabulary(data.vocabulary);
  let network = null, going = null, written = null, text = "";

  function field(name, limits) {
    const input = document.createElement("input"), box = document.createElement("label"), note = document.createElement("span");
    input.type = "number"; input.id = "rule-" + name; input.step = limits.whole ? 1 : "any"; input.value = limits.default;
    if ("minimum" in limits) input.min = limits.minimum;
    if ("maximum" in limits) input.max = limits.maximum;
    note.textContent = name.replace(/_/g, " "); box.title = limits.help;
    input.setAttribute("aria-describedby", "about-" + name);
    box.append(note, input);
    by("rules").append(box);
    return [name, { input, limits }];
  }
  const rules = data.rules.map((rule) => field(rule.name, rule));
  const [, length] = field("length", { default: data.length.default, minimum: 1, maximum: data.length.maximum, whole: true, help: by("about-length").textContent });
  const [, seed] = field("seed", { default: "", minimum: 0, maximum: Number.MAX_SAFE_INTEGER, whole: true, help: by("about-seed").textContent });

  function valueOf(name, { input, limits }) {
    const value = Number(input.value), problem =
      input.value === "" || !Number.isFinite(value) ? "must be a number"
      : limits.whole && !Number.isInteger(value) ? "must be a whole number"
      : "minimum" in limits && value < limits.minimum ? `must be at least ${limits.minimum}`
      : "above" in limits && value <= limits.above ? `must be above ${limits.above}`
      : "maximum" in limits && value > limits.maximum ? `must be at most ${limits.maximum.toLocaleString("en")}` : "";
    input.removeAttribute("aria-invalid");
    if (!problem) return value;
    input.setAttribute("aria-invalid", "true");
    input.focus();
    throw new RangeError(`${name.replace(/_/g, " ")} ${problem}`);
  }
  const chosenRules = () => Object.fromEntries(rules.map(([name, rule]) => [name, valueOf(name, rule)]));
  function chosenSeed() {
    if (seed.input.value === "" && !seed.input.validity.badInput) {
      seed.input.removeAttribute("aria-invalid");
      return BigInt(crypto.getRandomValues(new Uint32Array(1))[0]);
    }
    return BigInt(valueOf("seed", seed));
  }

  function tell(message, isError) {
    told.textContent = message;
    told.className = isError ? "error" : "";
  }
  const number = (count, what) => `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
  function warning(unknown) {
    if (!unknown.length) return "";
    const shown = unknown.slice(0, MOST_UNKNOWN).map((token) => JSON.stringify(token)).join(", ");
    return `; not in the vocabulary: ${shown}${unknown.length > MOST_UNKNOWN ? " and others" : ""}`;
  }
  function setButtons() {
    const busy = going !== null;
    write.disabled = surprisal.disabled = busy || !network;
    more.disabled = busy || !written;
    copy.disabled = busy || !text;
    stop.disabled = !busy;
  }
  const channel = new MessageChannel();
  let resume = null;
  channel.port1.onmessage = () => resume();
  const turn = () => new Promise((resolve) => { resume = resolve; channel.port2.postMessage(null); });

  // Take steps until there are none left or the user stops them. show puts into the page what a slice of them has made.
  async function work(step, show, done) {
    const own = going = {}, hadFocus = document.activeElement;
    setButtons();
    if (hadFocus && hadFocus.disabled) stop.focus();
    let more = true;
    try {
      while (more && going === own) {
        const end = performance.now() + SLICE;
        while (more && performance.now() < end) more = step();
        show();
        await turn();
      }
      done(going !== own);
    } finally {
      if (going === own) going = null;
      const onStop = document.activeElement === stop;
      setButtons();
      if (onStop) (hadFocus && !hadFocus.disabled ? hadFocus : write).focus();
    }
  }
  function attempt(action) {
    try { action(); } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      tell(error.message, true);
    }
  }

  // Add tokens to the text that is there. note: what is told of it besides.
  function goOn(note) {
    const count = valueOf("length", length), chosen = chosenRules(), started = performance.now();
    const { writing, uniforms, node } = written;
    let left = count, piece = "", added = 0;
    work(() => {
      if (writing.isReading) { writing.read(); return true; }
      const token = vocabulary.tokens[writing.draw(chosen, uniforms.next())];
      piece += written.skipped === null ? token : token.slice(written.skipped);
      written.skipped = null;
      return --left > 0;
    }, () => {
      node.appendData(piece);
      text += piece; added += piece.length; piece = "";
    }, (stopped) => {
      const seconds = (performance.now() - started) / 1000;
      tell(`${stopped ? "stopped: " : ""}${number(added, "character")} in ${seconds.toFixed(1)} s, seed ${written.seed}${note}`);
    });
    tell("writing");
  }
  write.addEventListener("click", () => attempt(() => {
    const prompt = vocabulary.prompt(beginning.value), key = chosenSeed();
    valueOf("length", length); chosenRules();
    const own = document.createElement("span"), node = document.createTextNode("");
    own.className = "own"; own.textContent = text = beginning.value;
    answer.replaceChildren(own, node);
    written = {
      writing: new seqlm.Writing(network, vocabulary, prompt), node, seed: key, skipped: prompt.beginning.length,
      uniforms: new seqlm.Uniforms([key, BigInt(data.key)]),
    };
    goOn(warning(prompt.unknown));
  }));
  more.addEventListener("click", () => attempt(() => goOn("")));

  function likeliest(scores) {
    const order = [];
    scores.forEach((score, token) => {
      if (order.length === ALTERNATIVES && score <= scores[order[ALTERNATIVES - 1]]) return;
      order.push(token);
      order.sort((one, other) => scores[other] - scores[one]);
      order.length = Math.min(order.length, ALTERNATIVES);
    });
    return order.map((token) => `${JSON.stringify(vocabulary.tokens[token])} ${Math.exp(scores[token]).toFixed(3)}`).join(", ");
  }
  surprisal.addEventListener("click", () => {
    const whole = beginning.value || text, all = vocabulary.cut(whole), tokens = all.slice(0, data.length.maximum);
    const part = tokens.length < all.length ? ` of the first ${number(tokens.length, "token")}` : "";
    const reading = new seqlm.Reading(network, tokens.map((token) => vocabulary.id(token)), vocabulary.start);
    let spans = [], total = 0, count = 0, place = 0;
    answer.replaceChildren(); text = whole; written = null;
    work(() => {
      if (!reading.isReading) return false;
      const { logProbability, scores } = reading.read(), span = document.createElement("span");
      span.textContent = tokens[place++];
      if (scores) {
        const bits = -logProbability / Math.LN2;
        total += bits; count += 1;
        span.style.background = `rgb(var(--hot) / ${(Math.min(1, bits / MOST_BITS) * 0.6).toFixed(3)})`;
        span.title = `${bits.toFixed(2)} bits; likeliest: ${likeliest(scores)}`;
      }
      spans.push(span);
      return true;
    }, () => { answer.append(...spans); spans = []; }, (stopped) => {
      const mean = count ? `${(total / count).toFixed(3)} bits per token${part}; point at a token to see what was likelier` : "nothing is predicted";
      tell((stopped ? "stopped: " : "") + mean + warning(vocabulary.unknownOf(tokens)));
    });
    tell("reading");
  });

  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      tell("copied");
    } catch {
      getSelection().selectAllChildren(answer);
      tell("the text is selected; copy it with Ctrl and C");
    }
  });
  stop.addEventListener("click", () => { going = null; });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") going = null; });
  beginning.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) write.click();
  });
  seqlm.parametersOf(data.weights).then((parameters) => {
    network = new seqlm.Network(data.model, parameters, data.vocabulary.ends);
    tell("ready");
    setButtons();
  }, (error) => tell(`the model cannot be loaded: ${error.message}`, true));
})();
