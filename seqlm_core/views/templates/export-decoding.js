"use strict";
// Drawing tokens, by the same rules in the same order as seqlm, and with the same random numbers for the same seed.
(function () {
  const LOWEST_TEMPERATURE = 1e-290, UNKNOWN = 0;
  const FREQUENT = { temperature: 1, top_k: 0, top_p: 1, min_p: 0, repetition_penalty: 1 };
  const SMALLEST = 2.2250738585072014e-308;

  const ranked = (weights) => new Float64Array(weights).sort().reverse();
  function keepLargest(weights, order, count) {
    const least = order[count - 1];
    for (let i = 0; i < weights.length; i++) if (weights[i] < least) weights[i] = 0;
  }
  // Return the weights to draw tokens by. seen: 1 for each token that is in the text already.
  function tokenWeights(rules, logProbabilities, seen) {
    const weights = new Float64Array(logProbabilities), n = weights.length;
    if (rules.repetition_penalty !== 1) for (let i = 0; i < n; i++) if (seen[i]) weights[i] *= rules.repetition_penalty;
    let best = 1;
    for (let i = 2; i < n; i++) if (weights[i] > weights[best]) best = i;
    const highest = weights[best];
    if (rules.temperature === 0) {
      weights.fill(0);
      weights[best] = 1;
      return weights;
    }
    const temperature = Math.max(rules.temperature, LOWEST_TEMPERATURE);
    for (let i = 0; i < n; i++) weights[i] = i === UNKNOWN ? 0 : Math.exp((weights[i] - highest) / temperature);
    if (rules.top_k) keepLargest(weights, ranked(weights), Math.min(rules.top_k, n));
    if (rules.top_p < 1) {
      const order = ranked(weights), total = order.reduce((sum, weight) => sum + weight, 0);
      let count = 1;
      for (let sum = order[0]; count < n && sum / total < rules.top_p; count++) sum += order[count];
      keepLargest(weights, order, count);
    }
    if (rules.min_p) {
      const least = rules.min_p * weights.reduce((most, weight) => Math.max(most, weight), 0);
      for (let i = 0; i < n; i++) if (weights[i] < least) weights[i] = 0;
    }
    return weights;
  }
  // Return a token drawn by weights. uniform: at least 0 and below 1.
  function draw(weights, uniform) {
    const total = weights.reduce((sum, weight) => sum + weight, 0), threshold = uniform * total;
    let sum = 0, last = 0;
    for (let i = 0; i < weights.length; i++) {
      if (!weights[i]) continue;
      sum += weights[i];
      if (sum > threshold) return i;
      last = i;
    }
    return last; // rounding made the threshold as large as the total
  }

  // Philox 4x64 with 10 rounds (Salmon et al. 2011), a generator that counts.
  const low = (x) => BigInt.asUintN(64, x);
  const [M0, M1, W0, W1] = [0xd2e7470ee14c6c93n, 0xca5a826395121157n, 0x9e3779b97f4a7c15n, 0xbb67ae8584caa73bn];
  class Uniforms {
    // key: two numbers of 64 bits, the first of them the seed
    constructor(key) {
      this.key = key;
      this.count = 0n;
      this.left = [];
    }
    next() {
      if (!this.left.length) this.left = this.block();
      return Number(this.left.shift() >> 11n) / 9007199254740992;
    }
    block() {
      this.count += 1n;
      let [a, b, c, d] = [low(this.count), 0n, 0n, 0n], [k0, k1] = this.key.map(low);
      for (let round = 0; round < 10; round++) {
        const p = M0 * a, q = M1 * c;
        [a, b, c, d] = [(q >> 64n) ^ b ^ k0, low(q), (p >> 64n) ^ d ^ k1, low(p)];
        k0 = low(k0 + W0);
        k1 = low(k1 + W1);
      }
      return [a, b, c, d];
    }
  }

  // A text that goes on from a prompt. Each step reads a token of the prompt, or draws a token and reads it.
  class Writing {
    constructor(network, vocabulary, prompt) {
      Object.assign(this, { network, vocabulary, allowed: prompt.allowed, unread: prompt.ids.slice(), any: prompt.ids.length > 0 });
      this.states = network.begin();
      this.seen = new Uint8Array(network.vocabulary);
    }
    get isReading() {
      return this.unread.length > 0;
    }
    read() {
      this.take(this.unread.shift());
    }
    draw(rules, uniform) {
      let scores = this.any ? this.network.logProbabilities(this.states) : this.vocabulary.logFrequencies();
      if (this.allowed) scores = scores.map((score, i) => (this.allowed[i] ? score : -Infinity));
      // The first token of all is drawn by its frequency alone: the rules are for what the model predicts.
      const token = draw(tokenWeights(this.any || rules.temperature === 0 ? rules : FREQUENT, scores, this.seen), uniform);
      this.allowed = null;
      this.any = true;
      this.take(token);
      return token;
    }
    take(token) {
      this.network.read(token, this.states);
      this.seen[token] = 1;
    }
  }
  // Tokens that are read one after the other, each with its surprisal in bits and what was likelier.
  class Reading {
    constructor(network, ids, start) {
      Object.assign(this, { network, unread: ids.slice(), states: network.begin(), any: start !== null });
      if (this.any) network.read(start, this.states);
    }
    get isReading() {
      return this.unread.length > 0;
    }
    read() {
      const token = this.unread.shift(), scores = this.any ? this.network.logProbabilities(this.states) : null;
      this.network.read(token, this.states);
      this.any = true;
      return { token, logProbability: scores && scores[token], scores };
    }
  }
  const logFrequencies = (counts) => {
    const known = counts.map((count, i) => (i === UNKNOWN ? 0 : count)), total = known.reduce((sum, count) => sum + count, 0);
    return Float64Array.from(known, (count) => Math.log(Math.max(count / total, SMALLEST)));
  };
  Object.assign(seqlm, { tokenWeights, draw, Uniforms, Writing, Reading, logFrequencies });
})();
