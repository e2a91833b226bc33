"use strict";
(function () {
  const runs = JSON.parse(document.getElementById("data").textContent).runs;
  const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#7F7F7F", "#E69F00", "#56B4E9", "#F0E442"];
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const reduced = window.matchMedia("(max-width: 40rem)");
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const picked = (name) => document.querySelector(`input[name=${name}]:checked`).value;
  const smoothing = document.getElementById("smoothing");
  const inNats = runs.every((run) => run.nats || !run.curves.length);
  if (!inNats) document.getElementById("figures").hidden = true;

  const units = { loss: (nats) => nats, bits: (nats) => nats / Math.LN2, perplexity: (nats) => Math.exp(Math.min(nats, 700)) };
  const across = { steps: (c) => c.steps, epochs: (c) => c.epochs, minutes: (c) => c.seconds.map((s) => s / 60) };
  const titles = { steps: "step", epochs: "epoch", minutes: "minutes of training" };
  function smoothed(values, decay) {
    let total = 0, weight = 0;
    return values.map((value) => {
      total = decay * total + (1 - decay) * value;
      weight = decay * weight + (1 - decay);
      return total / weight;
    });
  }
  function traces(of) {
    const made = [], x = picked("across"), figure = picked("figure");
    const decay = Math.min(0.99, Math.max(0, Number(smoothing.value) || 0));
    runs.forEach((run, r) => {
      run.curves.filter((curve) => curve.of === of).forEach((curve, c) => {
        const alone = runs.length === 1, training = curve.name === "training";
        const colour = COLOURS[(alone ? c : r) % COLOURS.length];
        const unit = of === "loss" && inNats ? units[figure] : (value) => value;
        const name = (alone ? "" : `${run.name}: `) + curve.name;
        const base = {
          x: across[x](curve), type: "scatter", mode: training || of !== "loss" ? "lines" : "lines+markers",
          line: { color: colour, width: 2, dash: training && !alone ? "dash" : c === 2 && !alone ? "dot" : "solid" },
          marker: { size: 5, symbol: (alone ? c : r) % 8 }, customdata: curve.steps.map((s, i) => [s, curve.epochs[i]]),
          hovertemplate: "%{y:.4f}<br>step %{customdata[0]:,}, epoch %{customdata[1]}",
        };
        if (curve.steps.length === 1) base.mode = "markers";
        if (training && of === "loss" && decay) {
          made.push({ ...base, y: curve.values.map(unit), opacity: 0.35, showlegend: false, hoverinfo: "skip", hovertemplate: null });
          made.push({ ...base, y: smoothed(curve.values, decay).map(unit), name: `${name}, smoothed (${decay})` });
        } else {
          made.push({ ...base, y: curve.values.map(unit), name });
        }
      });
    });
    return made;
  }
  function layout(unit) {
    const ink = css("--ink"), line = css("--line"), paper = css("--paper");
    const axis = { gridcolor: line, linecolor: line, zeroline: false, automargin: true };
    return {
      font: { color: ink, family: "system-ui, sans-serif", size: 13 }, paper_bgcolor: paper, plot_bgcolor: paper,
      margin: { l: 60, r: 15, t: 15, b: 50 }, height: reduced.matches ? 320 : 400, hovermode: "x unified", hoverdistance: -1,
      hoverlabel: { bgcolor: css("--panel"), bordercolor: line, font: { color: ink } },
      xaxis: { ...axis, title: { text: titles[picked("across")] } },
      yaxis: { ...axis, title: { text: unit } },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" }, showlegend: true,
    };
  }
  function draw() {
    const figure = picked("figure"), name = runs.find((run) => run.loss)?.loss || "loss";
    const unit = !inNats || figure === "loss" ? name : figure === "bits" ? name.replace("nats", "bits") : "perplexity";
    const config = { displayModeBar: false, responsive: true };
    const per = [...new Set(runs.map((run) => run.unit))].join(" or ");
    Plotly.react("loss", traces("loss"), layout(unit), config);
    Plotly.react("rate", traces("rate"), layout("learning rate"), config);
    const speeds = traces("speed");
    document.getElementById("of-speed").hidden = !speeds.length;
    if (speeds.length) Plotly.react("speed", speeds, layout(`${per} a second`), config);
  }
  document.querySelectorAll("input[name], #smoothing").forEach((input) => input.addEventListener("change", draw));
  dark.addEventListener("change", draw);
  reduced.addEventListener("change", draw);
  draw();

  document.querySelectorAll("input.samples").forEach((slider) => {
    const number = slider.dataset.run, samples = runs[number].samples;
    const show = () => {
      const sample = samples[slider.value];
      document.getElementById("step" + number).textContent =
        `${sample.step.toLocaleString("en")}, epoch ${sample.epoch}, after ${(sample.seconds / 60).toFixed(1)} minutes`;
      slider.setAttribute("aria-valuetext", `step ${sample.step}`);
      const text = document.createElement("pre");
      text.textContent = sample.text;
      document.getElementById("sample" + number).replaceChildren(text);
    };
    slider.addEventListener("input", show);
    show();
  });
})();
