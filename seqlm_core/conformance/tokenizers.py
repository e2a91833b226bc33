"""The checks of tokenizers."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import numpy as np

from seqlm_core.conformance.check import CheckFailure, Checks, demand
from seqlm_core.conformance.training import TEXT, check_learning, check_resuming, train_small
from seqlm_core.engine.randomness import generator
from seqlm_core.plugins.components import Component
from seqlm_core.plugins.foreign import describe
from seqlm_core.plugins.options import option_values
from seqlm_core.plugins.registry import THIS_PROGRAM
from seqlm_core.plugins.specs import CodingTokenizer, Tokenizer, TokenizerSpec, TrainableTokenizer
from seqlm_core.reading.numbering import LARGEST_CODE
from seqlm_core.reading.tokenizing import tokenize_blocks

TokenizerComponent = Component[TokenizerSpec]

RANDOM_TEXTS = 300
LONGEST_TEXT = 40
ALPHABETS = (
    "ab cd.,'\"-\n",
    "".join(map(chr, range(32, 127))),
    " \t\n\r\x0b\x0c\x1c\x85\u00a0\u2028\u3000\u200b\ufeff",
    "\u00e9e\u0301\u00df\u0130\u01c5\ufb01\u1e9e",
    "\u4e2d\u6587\u3042\ud55c\u0e01\u0e33\u0915\u094d\u0937",
    "\U0001f469\u200d\U0001f680\U0001f1e9\U0001f1ea\ufe0f\u2764",
    "\x00\x01\x7f\u00ad\u202e\ufffd\uffff\U0010ffff",
)  # fmt: skip
KNOWN_TEXTS = (
    "", " ", "\n", "\r\n", "a", "It isn't so.", "  two  spaces  ", "end ", "'tis ``quoted''...", TEXT[:150],
    "<unk>", "a\u0301\u0302", "x" * 300,
)  # fmt: skip

checks = Checks()


@checks(
    "cuts any text into tokens, none of them empty, which joined are the text again",
    "tokenize and detokenize: white space, quotes, case, characters that are composed or were never seen",
)
def tokens_joined_are_the_text(tokenizer: TokenizerComponent) -> str:
    built = _build(tokenizer)

    def problem(text: str) -> str:
        tokens = built.tokenize(text)
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            return f"tokenize({text!r}) returns {tokens!r}, not a list of texts"
        if not all(tokens):
            return f"tokenize({text!r}) returns an empty token: {tokens!r}"
        joined = built.detokenize(tokens)
        return "" if joined == text else f"{text!r} becomes {tokens!r}, which joined is {joined!r}"

    return _over_texts(problem)


@checks(
    "gives the same tokens for a text in pieces as for the whole text, wherever the pieces end",
    "last_cut(text): what may follow the position that it returns",
)
def pieces_have_the_tokens_of_the_whole(tokenizer: TokenizerComponent) -> str:
    built = _build(tokenizer)

    def problem(text: str) -> str:
        whole = built.tokenize(text)
        for size in (1, 2, 3, 7):
            blocks = [text[start : start + size] for start in range(0, len(text), size)]
            for end in range(len(text) + 1) if size == 1 else ():
                cut = built.last_cut(text[:end])
                if not 0 <= cut <= end:
                    return f"last_cut({text[:end]!r}) is {cut}"
            found = [token for tokens in tokenize_blocks(blocks, built) for token in tokens]
            if found != whole:
                return f"{text!r} is {whole!r}, and in pieces of {size} characters {found!r}"
        return ""

    return _over_texts(problem)


@checks(
    "gives codes, if it gives any, from which its tokens are made, and that are the same in every text",
    "codes and token_of",
)
def codes_stand_for_the_tokens(tokenizer: TokenizerComponent) -> str:
    built = _build(tokenizer)
    if not isinstance(built, CodingTokenizer):
        return "it gives none"
    known: dict[str, int] = {}

    def problem(text: str) -> str:
        tokens, codes = built.tokenize(text), built.codes(text)
        if not isinstance(codes, np.ndarray) or codes.ndim != 1 or codes.dtype.kind not in "iu":
            return f"codes({text!r}) returns {codes!r}, not an array of integers (tokens,)"
        meant = [built.token_of(code) for code in codes.tolist()]
        if meant != tokens:
            return f"{text!r} is {tokens!r}, and its codes {codes.tolist()} stand for {meant!r}"
        for token, code in zip(tokens, codes.tolist()):
            if not 0 <= code <= LARGEST_CODE:
                return f"the code of {token!r} is {code}, and must be from 0 to {LARGEST_CODE}"
            if known.setdefault(token, code) != code:
                return f"the code of {token!r} is {code} in {text!r}, and was {known[token]} before"
        return ""

    return _over_texts(problem)


@checks("can cut a long text near its end, so that memory does not grow with the text", "last_cut(text)")
def long_texts_can_be_cut(tokenizer: TokenizerComponent) -> str:
    cut = _build(tokenizer).last_cut(TEXT)
    demand(cut > len(TEXT) - 200, f"last_cut of {len(TEXT)} characters is {cut}")
    return ""


@checks("is not affected by changes to the list of tokens that it returned", "lists that are kept and returned again")
def tokens_are_the_callers(tokenizer: TokenizerComponent) -> str:
    built = _build(tokenizer)
    first = built.tokenize("It isn't so.")
    kept = list(first)
    first.clear()
    again = built.tokenize("It isn't so.")
    demand(again == kept, f"after its tokens {kept!r} were removed from the list, the same text gives {again!r}")
    return ""


@checks(
    "gives the same tokens in every process",
    "sets, hash(), and everything else whose order differs from process to process",
)
def processes_agree(tokenizer: TokenizerComponent) -> str:
    if tokenizer.source == THIS_PROGRAM:
        return "not tried, since the plugin is not installed"
    files = [] if tokenizer.source.file is None else [tokenizer.source.file]
    digests = set()
    for seed in ("1", "2", "3"):
        words = [tokenizer.spec.name, json.dumps(option_values(tokenizer.options)), *files]
        done = subprocess.run(
            [sys.executable, "-m", "seqlm_core.conformance.tokenizers", *words],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
        )
        demand(done.returncode == 0, f"in a process of its own it fails: {done.stderr.strip()[-300:]}")
        digests.add(done.stdout)
    demand(len(digests) == 1, "three processes cut the same texts in different ways")
    return ""


@checks(
    "keeps what it learnt: after state and restore it cuts as before, and pieces teach what the whole teaches",
    "train, state and restore",
)
def what_is_learnt_is_kept(tokenizer: TokenizerComponent) -> str:
    built = tokenizer.spec.build(tokenizer.options)
    if not isinstance(built, TrainableTokenizer):
        return "it learns nothing"
    built.train(iter([TEXT]))
    state = built.state()
    read = json.loads(json.dumps(state))
    demand(read == state, "its state is not the same after it was written as JSON and read")
    restored = tokenizer.spec.build(tokenizer.options)
    restored.restore(read)
    in_pieces = tokenizer.spec.build(tokenizer.options)
    in_pieces.train(TEXT[start : start + 7] for start in range(0, len(TEXT), 7))
    for name, other in (("restored", restored), ("that learnt from pieces of 7 characters", in_pieces)):
        for text in [TEXT, *_texts()]:
            expected, found = built.tokenize(text), other.tokenize(text)
            demand(found == expected, f"{text[:60]!r} is {expected[:12]!r}, and by one {name} {found[:12]!r}")
    return ""


@checks("cuts a text that a model learns", "the tokens: too many that occur only once?")
def learns(tokenizer: TokenizerComponent) -> str:
    return check_learning("tokenizer", tokenizer)


@checks("resumes: a training that was stopped and resumed equals one that was not, bit for bit", "state and restore")
def resumes(tokenizer: TokenizerComponent) -> str:
    return check_resuming("tokenizer", tokenizer)


@checks("joins the tokens that a model makes up", "detokenize: token sequences that tokenize never returns")
def joins_what_a_model_makes_up(tokenizer: TokenizerComponent) -> str:
    with tempfile.TemporaryDirectory() as folder:
        run = train_small(Path(folder), "tokenizer", tokenizer, epochs=1)
        for seed in range(5):
            text = run.sample(length=40, temperature=5.0, seed=seed)
            demand(isinstance(text, str), f"detokenize returns {type(text).__name__}, not a text")
    return ""


def _build(tokenizer: TokenizerComponent) -> Tokenizer:
    """Return the tokenizer. If it learns, it has learnt from :data:`TEXT`."""
    built: Tokenizer = tokenizer.spec.build(tokenizer.options)
    if isinstance(built, TrainableTokenizer):
        built.train(iter([TEXT]))
    return built


def _texts() -> Iterator[str]:
    """Yield texts of all kinds, the same at every call."""
    yield from KNOWN_TEXTS
    random = generator(1, 0, "texts for tokenizers")
    everything = "".join(ALPHABETS)
    for number in range(RANDOM_TEXTS):
        alphabet = everything if number % 3 == 0 else ALPHABETS[int(random.integers(len(ALPHABETS)))]
        characters = random.integers(len(alphabet), size=int(random.integers(1, LONGEST_TEXT)))
        yield "".join(alphabet[i] for i in characters)


def _over_texts(problem: Callable[[str], str]) -> str:
    """Demand that no text has a problem. The failure shows a text that is as short as possible."""

    def found_in(text: str) -> str:
        try:
            return problem(text)
        except Exception as error:
            return f"{text!r} leads to {describe(error)}"

    texts = list(_texts())
    for text in texts:
        found = found_in(text)
        if found:
            # A tokenizer that cuts at random may not have the problem again.
            raise CheckFailure(found_in(_shortened(text, found_in)) or found)
    return f"{len(texts)} texts"


def _shortened(text: str, problem: Callable[[str], str]) -> str:
    """Return a shorter text with a problem, from which no single character can be removed without solving it."""
    start = kept = 0
    while kept < len(text):
        start %= len(text)
        shorter = text[:start] + text[start + 1 :]
        if problem(shorter):
            text, kept = shorter, 0
        else:
            start, kept = start + 1, kept + 1
    return text


def _digest(name: str, options: dict[str, Any], files: list[str]) -> str:
    """Return a digest of the tokens of all texts, after loading the plugins in files."""
    from seqlm_core.plugins.files import load_plugin
    from seqlm_core.plugins.loading import installed_plugins

    for file in files:
        load_plugin(file)
    built = _build(Component.choose(installed_plugins().tokenizers, name, options))
    digest = hashlib.blake2b(digest_size=16)
    for text in _texts():
        digest.update(json.dumps(built.tokenize(text)).encode())
    return digest.hexdigest()


if __name__ == "__main__":
    print(_digest(sys.argv[1], json.loads(sys.argv[2]), sys.argv[3:]))
