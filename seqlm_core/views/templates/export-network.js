"use strict";
// The network: the weights that the page holds, and what it predicts. Hidden vectors and sums are in double precision.
const seqlm = {};
(function () {
  // The lowest layer computes the same from a token each time. So much of it is kept, in numbers.
  const MOST_KEPT = 1 << 22;

  function bytesOf(base64) {
    const text = atob(base64), bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return bytes;
  }
  async function inflated(bytes) {
    if (typeof DecompressionStream === "undefined") throw new Error("this browser is too old for the page: it has no DecompressionStream");
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }
  function float16Table() {
    const bits = new Uint32Array(65536), values = new Float32Array(bits.buffer);
    for (let half = 0; half < 32768; half++) {
      const exponent = half >> 10, mantissa = half & 1023;
      if (exponent) bits[half] = ((exponent + 112) << 23) | (mantissa << 13);
      else values[half] = mantissa / 16777216;
      values[half + 32768] = -values[half];
    }
    return values;
  }
  // Return the parameters by name: rows, columns and values of a matrix; a vector has one column.
  async function parametersOf(stored) {
    const bytes = await inflated(bytesOf(stored.data));
    const view = new DataView(bytes.buffer);
    const matrices = stored.shapes.filter(([, , columns]) => columns !== null);
    const count = matrices.reduce((sum, [, rows, columns]) => sum + rows * columns, 0);
    const halves = stored.rounding === "float16" ? float16Table() : null;
    let weight = 0, number = halves ? 2 * count : count;
    const float32 = (length) => {
      const values = new Float32Array(length);
      for (let i = 0; i < length; i++, number += 4) values[i] = view.getFloat32(number, true);
      return values;
    };
    const found = new Map();
    for (const [name, rows, columns] of stored.shapes) {
      if (columns === null) {
        found.set(name, { rows, columns: 1, values: float32(rows) });
        continue;
      }
      const values = new Float32Array(rows * columns), scales = halves ? null : float32(rows);
      for (let row = 0, i = 0; row < rows; row++) {
        for (const end = i + columns; i < end; i++, weight++) {
          values[i] = halves ? halves[(bytes[weight] << 8) | bytes[count + weight]] : view.getInt8(weight) * scales[row];
        }
      }
      found.set(name, { rows, columns, values });
    }
    return found;
  }

  // Add the product of a matrix and a vector to another vector. Eight products a turn keep the processor busy.
  function addProduct(matrix, x, y) {
    const { rows, columns, values } = matrix, even = columns & ~1;
    let row = 0;
    for (; row + 4 <= rows; row += 4) {
      const a = row * columns, b = a + columns, c = b + columns, d = c + columns;
      let p = 0, q = 0, r = 0, s = 0;
      for (let i = 0; i < even; i += 2) {
        const u = x[i], v = x[i + 1];
        p += values[a + i] * u + values[a + i + 1] * v;
        q += values[b + i] * u + values[b + i + 1] * v;
        r += values[c + i] * u + values[c + i + 1] * v;
        s += values[d + i] * u + values[d + i + 1] * v;
      }
      if (even < columns) {
        const u = x[even];
        p += values[a + even] * u; q += values[b + even] * u; r += values[c + even] * u; s += values[d + even] * u;
      }
      y[row] += p; y[row + 1] += q; y[row + 2] += r; y[row + 3] += s;
    }
    for (; row < rows; row++) {
      let sum = 0;
      for (let i = 0, a = row * columns; i < columns; i++) sum += values[a + i] * x[i];
      y[row] += sum;
    }
  }
  const rowsOf = (matrix, first, end) => ({
    rows: end - first, columns: matrix.columns, values: matrix.values.subarray(first * matrix.columns, end * matrix.columns),
  });
  function affine([weight, bias], x, y = new Float64Array(weight.rows)) {
    y.set(bias.values);
    addProduct(weight, x, y);
    return y;
  }
  function logSoftmax(scores) {
    let highest = -Infinity, sum = 0;
    for (const score of scores) if (score > highest) highest = score;
    for (const score of scores) sum += Math.exp(score - highest);
    const total = highest + Math.log(sum);
    for (let i = 0; i < scores.length; i++) scores[i] -= total;
    return scores;
  }
  const sigmoid = (x) => 1 / (1 + Math.exp(-x));

  // One time step of each formula: from what a layer's inputs give to its gates, and its state, to its new state.
  const steps = {
    rnn_tanh(gates, state, layer) {
      addProduct(layer.recurrent, state.hidden, gates);
      for (let i = 0; i < state.hidden.length; i++) state.hidden[i] = Math.tanh(gates[i]);
    },
    rnn_relu(gates, state, layer) {
      addProduct(layer.recurrent, state.hidden, gates);
      for (let i = 0; i < state.hidden.length; i++) state.hidden[i] = Math.max(gates[i], 0);
    },
    gru(gates, state, layer) {
      const { hidden } = state, n = hidden.length, own = affine([layer.recurrent, layer.recurrentBias], hidden, layer.own);
      for (let i = 0; i < n; i++) {
        const reset = sigmoid(gates[i] + own[i]), update = sigmoid(gates[n + i] + own[n + i]);
        const candidate = Math.tanh(gates[2 * n + i] + reset * own[2 * n + i]);
        hidden[i] = candidate + update * (hidden[i] - candidate);
      }
    },
    lstm(gates, state, layer) {
      const { hidden, memory } = state, n = hidden.length;
      addProduct(layer.recurrent, hidden, gates);
      for (let i = 0; i < n; i++) {
        memory[i] = sigmoid(gates[n + i]) * memory[i] + sigmoid(gates[i]) * Math.tanh(gates[2 * n + i]);
        hidden[i] = sigmoid(gates[3 * n + i]) * Math.tanh(memory[i]);
      }
    },
  };

  class Layer {
    constructor(formula, parameters, prefix) {
      const get = (name) => parameters.get(prefix + name);
      this.input = get("i2h_weight");
      this.recurrent = get("h2h_weight");
      this.recurrentBias = get("h2h_bias");
      this.bias = Float64Array.from(get("i2h_bias").values);
      // The reset gate of a GRU applies to the product and its bias, so there they stay by themselves.
      if (formula !== "gru") this.bias.forEach((value, i) => { this.bias[i] = value + this.recurrentBias.values[i]; });
      this.own = new Float64Array(this.recurrent.rows);
      this.gates = new Float64Array(this.recurrent.rows);
      this.units = this.recurrent.columns;
    }
    project(inputs, gates) {
      gates.set(this.bias);
      addProduct(this.input, inputs, gates);
    }
    projectOneHot(token, gates) {
      const { values, columns } = this.input;
      for (let row = 0, i = token; row < gates.length; row++, i += columns) gates[row] = this.bias[row] + values[i];
    }
  }

  class Network {
    // model: formula, layers, embedded, tied, cutoffs, vocabulary; ends: ids of tokens that are read with fresh states.
    constructor(model, parameters, ends) {
      const get = (name) => parameters.get(name), pair = (name) => [get(name + "weight"), get(name + "bias")];
      this.step = steps[model.formula];
      this.layers = Array.from({ length: model.layers }, (_, i) => new Layer(model.formula, parameters, `forward_stack.${i}.`));
      this.embedding = model.embedded ? get("input.weight") : null;
      this.vocabulary = model.vocabulary;
      this.ends = new Set(ends);
      this.kept = new Map();
      this.mostKept = Math.floor(MOST_KEPT / this.layers[0].gates.length);
      const tokens = model.tied ? this.embedding : get("head.weight");
      const bounds = [...model.cutoffs, model.vocabulary];
      this.projection = get("head.projection_weight") ? pair("head.projection_") : null;
      this.first = [[tokens, get("head.bias")]];
      if (model.tied && model.cutoffs.length) {
        const biases = get("head.bias"), short = model.cutoffs[0];
        this.first = [[rowsOf(tokens, 0, short), rowsOf(biases, 0, short)], [get("head.cluster_weight"), rowsOf(biases, short, biases.rows)]];
      }
      this.clusters = model.cutoffs.map((first, i) => {
        const name = `head.cluster${i}.`;
        if (get(name + "weight")) return { first, projection: pair(name + "projection_"), tokens: pair(name) };
        return { first, projection: null, tokens: [rowsOf(tokens, first, bounds[i + 1]), get(name + "bias")] };
      });
    }
    begin() {
      return this.layers.map(({ units }) => ({ hidden: new Float64Array(units), memory: new Float64Array(units) }));
    }
    // Read a token: change the states in place.
    read(token, states) {
      if (this.ends.has(token)) for (const { hidden, memory } of states) { hidden.fill(0); memory.fill(0); }
      this.layers.forEach((layer, i) => {
        if (i) layer.project(states[i - 1].hidden, layer.gates);
        else layer.gates.set(this.ofToken(token));
        this.step(layer.gates, states[i], layer);
      });
    }
    ofToken(token) {
      const known = this.kept.get(token);
      if (known) return known;
      const lowest = this.layers[0], gates = new Float64Array(lowest.gates.length);
      if (this.embedding) lowest.project(rowsOf(this.embedding, token, token + 1).values, gates);
      else lowest.projectOneHot(token, gates);
      if (this.kept.size < this.mostKept) this.kept.set(token, gates);
      return gates;
    }
    // Return the log-probabilities in nats of all tokens to be next.
    logProbabilities(states) {
      let { hidden } = states[states.length - 1];
      if (this.projection) hidden = affine(this.projection, hidden);
      const scores = new Float64Array(this.first.reduce((sum, [, bias]) => sum + bias.rows, 0));
      let place = 0;
      for (const part of this.first) {
        affine(part, hidden, scores.subarray(place, place + part[1].rows));
        place += part[1].rows;
      }
      logSoftmax(scores);
      if (!this.clusters.length) return scores;
      const all = new Float64Array(this.vocabulary), short = this.clusters[0].first;
      all.set(scores.subarray(0, short));
      this.clusters.forEach(({ first, projection, tokens }, i) => {
        const within = logSoftmax(affine(tokens, projection ? affine(projection, hidden) : hidden));
        for (let k = 0; k < within.length; k++) all[first + k] = scores[short + i] + within[k];
      });
      return all;
    }
  }
  Object.assign(seqlm, { parametersOf, Network });
})();
