"use strict";
// Cutting texts into tokens as the built-in tokenizers do. White space is what Python takes for it.
(function () {
  const IN_LINES = "\\t\\v\\f\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000", WHITE = IN_LINES + "\\n";
  const SPACED = new RegExp(` ?[^${WHITE}]+| ?\\r?\\n|[${IN_LINES}]+?(?= ?[^${WHITE}]| ?\\r?\\n|$)`, "gu");
  const PIECE = new RegExp(` ?[^${WHITE}]{1,200}|[${WHITE}]{1,200}?(?= ?[^${WHITE}]|$)|[${WHITE}]{1,200}`, "gu");
  const WHITE_BEFORE = new RegExp(`^[${WHITE}]+(?=[^${WHITE}])`, "u"), WHITE_AFTER = new RegExp(`[${WHITE}]+$`, "u");
  const VISIBLE = new RegExp(`[^${WHITE}]`, "u");

  // Kinds of characters by which Unicode (UAX #29) finds the boundaries of words, for most scripts. The first that fits.
  const KINDS = [
    ["attached", /[\p{M}\p{Cf}\p{Emoji_Modifier}]/u],
    ["apart", /[\p{Ideographic}\p{Script=Hiragana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u],
    ["katakana", /[\p{Script=Katakana}\u30fc\uff70]/u],
    ["digit", /\p{Nd}/u],
    ["letter", /\p{Alphabetic}/u],
    ["connector", /\p{Pc}/u],
  ];
  const WITHIN = {
    letter: /['\u2018\u2019.:\u00b7\u2024\u0387\u055f\u05f4\u2027\ufe13\ufe52\ufe55\uff07\uff0e\uff1a]/u,
    digit: /['\u2018\u2019.,;\u037e\u0589\u060c\u060d\u066c\u07f8\u2024\u2044\ufe10\ufe14\ufe50\ufe52\ufe54\uff07\uff0c\uff0e\uff1b]/u,
  };
  const JOINED = { letter: ["letter", "digit", "connector"], digit: ["letter", "digit", "connector"], katakana: ["katakana", "connector"], connector: ["letter", "digit", "katakana", "connector"] };
  const kindOf = (character) => (KINDS.find(([, pattern]) => pattern.test(character)) || ["other"])[0];

  function cutByBoundaries(prefix, word) {
    const kinds = word.map(kindOf), bases = kinds.flatMap((kind, place) => (kind === "attached" && place ? [] : [place]));
    const kind = (k) => kinds[bases[k]], within = (one, middle, other) => kind(one) === kind(other) && kind(one) in WITHIN && WITHIN[kind(one)].test(word[bases[middle]]);
    const tokens = [];
    bases.forEach((place, k) => {
      const part = word.slice(place, bases[k + 1]).join("");
      const goesOn = k && ((JOINED[kind(k - 1)] || []).includes(kind(k)) || within(k - 1, k, k + 1) || within(k - 2, k - 1, k) || word[place - 1] === "\u200d");
      if (goesOn) tokens[tokens.length - 1] += part;
      else tokens.push(part);
    });
    tokens[0] = prefix + tokens[0];
    return tokens;
  }

  const LETTER = /[\p{L}\p{N}\p{M}_]/u;
  const SIGN = /[\xab\xbb\u201c-\u201e\u2018\u2019'`"()[\]{}<>;:,@#$%&?!*\u2012-\u2015]/u;
  function isSign(word, place) {
    const sign = word[place], after = word[place + 1], isDouble = word[place - 1] === sign || after === sign;
    if (sign === "-") return isDouble;
    if (sign === ".") return isDouble || after === undefined || !LETTER.test(after);
    return SIGN.test(sign);
  }
  // Where a token of a word may begin if NLTK cuts words: beside signs, before n't, and within words such as cannot.
  // inner: such words, each with the lengths of its tokens.
  function placesIn(word, inner) {
    const found = new Set([0, word.length]), text = word.join("");
    for (let place = 1; place < word.length; place++) {
      if (isSign(word, place - 1) || isSign(word, place)) found.add(place);
    }
    const add = (pattern, lengths) => {
      for (const match of text.matchAll(new RegExp(`${pattern}(?![\\p{L}\\p{N}_])`, "giu"))) {
        let place = Array.from(text.slice(0, match.index)).length;
        for (const length of lengths) found.add(place += length);
      }
    };
    add("n't", [0]);
    for (const [name, lengths] of inner) add(`(?<![\\p{L}\\p{N}_])${name}`, lengths.slice(0, -1));
    return [...found].sort((one, other) => one - other);
  }
  // Of all ways to cut a word at these places, return one with the fewest unknown characters, and then the fewest tokens.
  function cutByVocabulary(prefix, word, inner, ids) {
    const places = placesIn(word, inner), best = [{ unknown: 0, count: 0 }];
    for (let end = 1; end < places.length; end++) {
      for (let begin = 0; begin < end; begin++) {
        const token = (begin ? "" : prefix) + word.slice(places[begin], places[end]).join("");
        const unknown = best[begin].unknown + (ids.has(token) ? 0 : places[end] - places[begin]), count = best[begin].count + 1;
        const other = best[end];
        if (!other || unknown < other.unknown || (unknown === other.unknown && count < other.count)) best[end] = { unknown, count, begin, token };
      }
    }
    const tokens = [];
    for (let place = places.length - 1; place; place = best[place].begin) tokens.unshift(best[place].token);
    return tokens;
  }
  function cutPiece(piece, tokenizer, ids) {
    if (!VISIBLE.test(piece)) return [piece];
    const prefix = piece[0] === " " ? " " : "", word = Array.from(piece.slice(prefix.length));
    return tokenizer.inner ? cutByVocabulary(prefix, word, tokenizer.inner, ids) : cutByBoundaries(prefix, word);
  }
  const cutters = {
    char: (text) => Array.from(text),
    space: (text) => text.match(SPACED) || [],
    word: (text, tokenizer, ids) => (text.match(PIECE) || []).flatMap((piece) => cutPiece(piece, tokenizer, ids)),
  };

  class Vocabulary {
    // tokens and counts by id; unknown: the id of unknown tokens; start: that of what is read before a text, or null.
    constructor({ tokens, counts, unknown, start, tokenizer }) {
      Object.assign(this, { tokens, counts, unknown, start, tokenizer });
      this.ids = new Map(tokens.slice(1).map((token, i) => [token, i + 1]));
      this.beginnings = tokens.map((token, id) => (id && (WHITE_BEFORE.exec(token) || [""])[0]) || "");
      this.fitting = new Map();
      this.beginnings.forEach((white, id) => { if (white && !this.fitting.has(white)) this.fitting.set(white, tokens[id]); });
    }
    logFrequencies() {
      return seqlm.logFrequencies(this.counts);
    }
    cut(text) {
      const cut = (part) => cutters[this.tokenizer.name](part, this.tokenizer, this.ids);
      return this.tokenizer.lines ? (text.match(/[^\n]*\n|[^\n]+$/g) || []).flatMap(cut) : cut(text);
    }
    id(token) {
      const id = this.ids.get(token);
      return id === undefined ? this.unknown : id;
    }
    unknownOf(tokens) {
      return [...new Set(tokens.filter((token) => !this.ids.has(token)))];
    }
    // Cut a text that another token follows: white space at its end may be the beginning of that token.
    cutBeforeToken(text) {
      const white = (WHITE_AFTER.exec(text) || [""])[0];
      for (let length = white.length; length > 0; length--) {
        const before = text.slice(0, -length), beginning = text.slice(-length);
        if (!this.fitting.has(beginning)) continue;
        const tokens = this.cut(before + this.fitting.get(beginning));
        for (let end = tokens.length - 1; end >= 0; end--) {
          const read = tokens.slice(0, end).join("");
          if (read === before) return { tokens: tokens.slice(0, end), beginning };
          if (read.length < before.length) break;
        }
      }
      return { tokens: this.cut(text), beginning: "" };
    }
    // Return what is read before a text goes on, and which tokens may be next (null: any).
    prompt(text) {
      const { tokens, beginning } = this.cutBeforeToken(text), ids = tokens.map((token) => this.id(token));
      return {
        ids: this.start === null ? ids : [this.start, ...ids], beginning, unknown: this.unknownOf(tokens),
        allowed: beginning ? this.beginnings.map((white) => white === beginning) : null,
      };
    }
  }
  Object.assign(seqlm, { Vocabulary });
})();
