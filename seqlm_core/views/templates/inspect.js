"use strict";
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const MOST_BITS = 10;
  const element = (name, attributes, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (key === "class") made.className = value; else made.setAttribute(key, value);
    }
    made.append(...children);
    return made;
  };
  // Characters that have no shape of their own, or turn the text around them, are shown by their numbers.
  const SHAPELESS = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/u;
  const sign = (character) => SHAPELESS.test(character)
    ? `[${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}]` : character;
  const told = (text) => Array.from(text, (c) => (c === " " ? "\u2423" : c === "\n" ? "\u21b5" : c === "\t" ? "\u21e5" : sign(c))).join("") || "\u2205";

  // Activations: a byte for each unit after each token, unit by unit.
  const layers = data.layers.map((layer) => {
    const bytes = Uint8Array.from(atob(layer.values), (c) => c.charCodeAt(0));
    return { ...layer, values: new Int8Array(bytes.buffer) };
  });
  const count = data.tokens.length;
  const activation = (layer, unit, token) => {
    const row = layers[layer].units.indexOf(unit);
    return row < 0 ? null : layers[layer].values[row * count + token] / 127 * layers[layer].scales[row];
  };

  const modes = data.readings.map((reading, i) => ({ kind: "reading", reading: i, name: reading.name }));
  const colour = element("select", { id: "colour" });
  const byReading = element("option", { value: "surprisal" }, data.measure);
  colour.append(byReading);
  const following = element("optgroup", { label: "Units that follow the text" });
  data.following.forEach((unit, i) => {
    following.append(element("option", { value: "f" + i },
      `${unit.feature}: ${unit.layer}, unit ${unit.unit} (${unit.correlation.toFixed(2)})`));
  });
  if (data.following.length) colour.append(following);
  if (layers.length) colour.append(element("option", { value: "unit" }, "Another unit"));
  const layer = element("select", { id: "layer" });
  layers.forEach((each, i) => layer.append(element("option", { value: i }, each.name)));
  const unit = element("input", { id: "unit", type: "number", min: 0, value: 0, step: 1 });
  const ramp = element("span", { class: "ramp", "aria-hidden": "true" });
  const low = element("span"), high = element("span");
  const controls = document.getElementById("controls");
  controls.append(element("label", {}, "Colour", colour));
  if (layers.length) controls.append(element("label", {}, "Layer", layer), element("label", {}, "Unit", unit));
  controls.append(element("span", { class: "scale" }, low, ramp, high));

  // Cells: what is shown as a whole, one or more tokens each.
  const panels = modes.map((mode, p) => {
    const name = data.readings.length > 1 ? mode.name : "The text";
    const text = element("div", {
      class: "text", role: "listbox", tabindex: "0", "aria-label": name, id: "text" + p,
    });
    let line = element("div", { class: "line", role: "group", dir: "auto", "aria-label": "line" });
    const cells = data.cells.map((cell, number) => {
      const option = element("span", { role: "option", id: `c${p}-${number}`, "aria-selected": "false" });
      const shown = Array.from(cell.text, (c) => (c === "\n" || c === "\t" ? c : sign(c))).join("");
      if (cell.text.includes("\n") || shown === "") {
        option.append(shown.replace(/\n/g, ""), element("span", { class: "sign" }, shown === "" ? "\u2205" : "\u21b5"));
      } else {
        option.append(shown);
      }
      option.setAttribute("aria-label", told(cell.text));
      if (cell.classes) option.className = cell.classes;
      line.append(option);
      if (cell.text.includes("\n") || cell.ends) {
        text.append(line);
        line = element("div", { class: "line", role: "group", dir: "auto", "aria-label": "line" });
      }
      return option;
    });
    if (line.childNodes.length) text.append(line);
    const figure = element("section", { class: "reading" });
    if (data.readings.length > 1) figure.append(element("h2", {}, mode.name));
    figure.append(text);
    document.getElementById("readings").append(figure);
    return { text, cells };
  });

  const chosen = () => {
    if (colour.value === "surprisal") return null;
    if (colour.value === "unit") return { layer: Number(layer.value), unit: Number(unit.value) };
    const found = data.following[Number(colour.value.slice(1))];
    return { layer: layers.findIndex((each) => each.name === found.layer), unit: found.unit };
  };
  const alpha = (share) => Math.min(0.6, Math.max(0, share) * 0.6).toFixed(3);
  function paint() {
    const by = chosen();
    let most = MOST_BITS;
    if (by) {
      const row = layers[by.layer].units.indexOf(by.unit);
      most = row < 0 ? 1 : layers[by.layer].scales[row] || 1;
      layer.value = by.layer; unit.value = by.unit;
    }
    panels.forEach((panel, p) => {
      const values = data.readings[p].values;
      panel.cells.forEach((option, number) => {
        const cell = data.cells[number];
        let background = "";
        if (by) {
          const value = activation(by.layer, by.unit, cell.last);
          if (value !== null) background = `rgb(var(${value < 0 ? "--cold" : "--warm"}) / ${alpha(Math.abs(value) / most)})`;
        } else {
          let total = 0;
          for (let t = cell.first; t <= cell.last; t++) total += values[t] === null ? 0 : values[t];
          background = `rgb(var(--hot) / ${alpha(total / data.most)})`;
        }
        option.style.background = background;
      });
    });
    if (by) {
      ramp.style.background = "linear-gradient(to right, rgb(var(--cold) / 0.6), transparent, rgb(var(--warm) / 0.6))";
      low.textContent = (-most).toFixed(2); high.textContent = most.toFixed(2);
    } else {
      ramp.style.background = "linear-gradient(to right, transparent, rgb(var(--hot) / 0.6))";
      low.textContent = data.lowest; high.textContent = data.highest;
    }
    if (current !== null) tell();
  }

  let current = null;
  const details = document.getElementById("details");
  function tell() {
    details.replaceChildren();
    const cell = data.cells[current], by = chosen();
    data.readings.forEach((reading) => {
      for (let t = cell.first; t <= cell.last; t++) {
        const block = element("div", {});
        const figure = reading.values[t] === null ? "not predicted" : reading.told[t];
        block.append(element("span", { class: "token", dir: "auto" }, told(data.tokens[t])), " ", figure);
        if (data.readings.length > 1) block.append(element("div", { class: "faint" }, reading.name));
        const list = element("ol", {});
        (reading.alternatives[t] || []).forEach(([name, probability]) => {
          const bar = element("span", { class: "bar" });
          bar.style.width = `${(probability * 100).toFixed(2)}%`;
          list.append(element("li", {}, element("span", { dir: "auto" }, told(data.names[name])),
            element("span", {}, probability.toFixed(3)), element("span", {}, bar)));
        });
        block.append(list);
        details.append(block);
      }
    });
    if (by) {
      const value = activation(by.layer, by.unit, cell.last);
      details.append(element("div", {}, value === null ? "This unit is not in the page."
        : `${layers[by.layer].name}, unit ${by.unit}: ${value.toFixed(3)}`));
    }
  }
  function select(number) {
    if (number < 0 || number >= data.cells.length) return;
    panels.forEach((panel) => {
      if (current !== null) {
        panel.cells[current].classList.remove("current");
        panel.cells[current].setAttribute("aria-selected", "false");
      }
      panel.cells[number].classList.add("current");
      panel.cells[number].setAttribute("aria-selected", "true");
      panel.text.setAttribute("aria-activedescendant", panel.cells[number].id);
    });
    current = number;
    tell();
  }
  const below = (cells, number, step) => {
    const box = cells[number].getBoundingClientRect();
    let best = number, least = Infinity;
    for (let i = number + step, seen = 0; i >= 0 && i < cells.length && seen < 400; i += step, seen++) {
      const other = cells[i].getBoundingClientRect();
      if (step * (other.top - box.top) < box.height / 2) continue;
      const distance = Math.abs(other.top - box.top) * 1000 + Math.abs(other.left - box.left);
      if (distance < least) { least = distance; best = i; }
    }
    return best;
  };
  panels.forEach((panel) => {
    panel.text.addEventListener("keydown", (event) => {
      const now = current === null ? -1 : current;
      const moves = {
        ArrowRight: () => now + 1, ArrowLeft: () => Math.max(0, now - 1), Home: () => 0, End: () => data.cells.length - 1,
        ArrowDown: () => (now < 0 ? 0 : below(panel.cells, now, 1)), ArrowUp: () => (now < 0 ? 0 : below(panel.cells, now, -1)),
      };
      if (!(event.key in moves)) return;
      event.preventDefault();
      select(moves[event.key]());
      panel.cells[current].scrollIntoView({ block: "nearest" });
    });
    panel.text.addEventListener("mouseover", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) select(panel.cells.indexOf(option));
    });
    panel.text.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) select(panel.cells.indexOf(option));
    });
  });
  colour.addEventListener("change", paint);
  [layer, unit].forEach((input) => input.addEventListener("change", () => {
    const most = Math.max(...layers[Number(layer.value)].units);
    unit.max = most;
    unit.value = Math.min(Math.max(0, Math.round(Number(unit.value) || 0)), most);
    colour.value = "unit";
    paint();
  }));
  paint();
  const first = data.cells.findIndex((cell) => data.readings[0].values[cell.last] !== null);
  if (data.cells.length) select(Math.max(0, first));
})();
