"use strict";
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const by = (id) => document.getElementById(id);
  const [beginning, answer, told, stop, take] = ["beginning", "answer", "told", "stop", "take"].map(by);
  const MOST_BITS = 8;
  let asking = null, text = "";

  const field = (name, label, value, help, attributes) => {
    const input = document.createElement("input"), box = document.createElement("label"), note = document.createElement("span");
    input.type = "number"; input.id = "rule-" + name; input.value = value; input.step = "any";
    Object.assign(input, attributes || {});
    note.textContent = label; box.title = help;
    box.append(note, input);
    by("rules").append(box);
    return input;
  };
  const rules = data.rules.map((rule) => [rule.name, field(rule.name, rule.name.replace(/_/g, " "), rule.default, rule.help)]);
  const length = field("length", "length (tokens)", 500, "The number of tokens to add.", { min: 1, step: 1 });
  const seed = field("seed", "seed", "", "The same seed gives the same text; none draws one.", { min: 0, step: 1 });
  const gap = data.fills ? field("gap", "tokens in a gap", 3, "The number of tokens that each mark stands for.", { min: 1, step: 1 }) : null;
  const whole = (input) => (input.value === "" ? undefined : Math.round(Number(input.value)));

  function tell(message, isError) {
    told.textContent = message;
    told.className = isError ? "error" : "";
  }
  async function ask(question, values, add, done) {
    if (asking) asking.abort();
    const own = asking = new AbortController();
    answer.replaceChildren(); text = ""; take.disabled = true; stop.disabled = false;
    tell("...");
    try {
      const response = await fetch("/" + question, {
        method: "POST", body: JSON.stringify(values), signal: own.signal,
        headers: { "Content-Type": "application/json", "X-Seqlm-Token": data.token },
      });
      if (!response.ok) throw new Error(await response.text());
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "", failed = false;
      for (;;) {
        const { value, done: ended } = await reader.read();
        if (ended) break;
        const lines = (rest + value).split("\n");
        rest = lines.pop();
        for (const line of lines) {
          const part = JSON.parse(line);
          if (part.error) { tell(part.error, true); failed = true; } else add(part);
        }
      }
      if (!failed) done();
    } catch (error) {
      if (error.name === "AbortError") { if (asking === own) tell("stopped"); }
      else tell(error instanceof TypeError ? "the server does not answer; is seqlm play still running?" : error.message, true);
    } finally {
      if (asking === own) { asking = null; stop.disabled = true; }
    }
  }
  by("continue").addEventListener("click", () => {
    const prompt = beginning.value, started = performance.now();
    const values = { prompt, length: whole(length), seed: whole(seed) };
    rules.forEach(([name, input]) => { if (input.value !== "") values[name] = Number(input.value); });
    ask("continue", values, (part) => {
      if (!text) {
        const own = document.createElement("span");
        own.className = "own"; own.textContent = prompt;
        answer.append(own);
        text = prompt;
      }
      answer.append(part.text);
      text += part.text;
      take.disabled = false;
      tell(`${(text.length - prompt.length).toLocaleString("en")} characters`);
    }, () => tell(`${(text.length - prompt.length).toLocaleString("en")} characters in ${((performance.now() - started) / 1000).toFixed(1)} s`));
  });
  by("surprisal").addEventListener("click", () => {
    let total = 0, count = 0;
    ask("surprisal", { text: beginning.value }, (part) => {
      const span = document.createElement("span");
      span.textContent = part.text;
      if (part.bits !== null) {
        total += part.bits; count += 1;
        span.style.background = `rgb(var(--hot) / ${(Math.min(1, part.bits / MOST_BITS) * 0.6).toFixed(3)})`;
        span.title = `${part.bits.toFixed(2)} bits; likeliest: ` + part.alternatives.map(([t, p]) => `${JSON.stringify(t)} ${p.toFixed(3)}`).join(", ");
      }
      answer.append(span);
    }, () => tell(count ? `${(total / count).toFixed(3)} bits per token; point at a token to see what was likelier` : "nothing is predicted"));
  });
  if (data.fills) by("fill").addEventListener("click", () => {
    let number = 0;
    ask("fill", { text: beginning.value, gap: whole(gap) }, (part) => {
      const line = document.createElement("p");
      line.textContent = part.text;
      answer.append(line);
      if (!number++) { text = part.text; take.disabled = false; }
    }, () => tell(`${number} fillings, the most probable first`));
  });
  stop.addEventListener("click", () => asking && asking.abort());
  take.addEventListener("click", () => { beginning.value = text; beginning.focus(); });
  beginning.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) by("continue").click();
  });
})();
