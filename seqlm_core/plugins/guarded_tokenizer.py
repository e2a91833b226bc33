"""Tokenizers of plugins, whose errors are reported as errors of the plugin."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from seqlm_core.plugins.foreign import plugin_code, plugin_failure, plugin_title
from seqlm_core.plugins.specs import CodingTokenizer, Tokenizer, TokenizerSpec, TrainableTokenizer
from seqlm_core.plugins.tokenizer_origin import TokenizerOrigin

METHODS = ("tokenize", "detokenize", "last_cut")


def guarded_tokenizer(tokenizer: Any, spec: TokenizerSpec, origin: TokenizerOrigin | None = None) -> Tokenizer:
    """Return the tokenizer, but with its errors reported as errors of the plugin that provides ``spec``.

    Args:
        tokenizer: what the plugin built.
        spec: the record of the plugin.
        origin: where the tokenizer came from, by which other processes can build it; None if they cannot.

    Raises:
        PluginRuntimeError: a method is missing.
    """
    for name in METHODS:
        if not callable(getattr(tokenizer, name, None)):
            needed = ", ".join(METHODS)
            raise plugin_failure(spec, f"its tokenizer, a {type(tokenizer).__name__}, has no {name}; it needs {needed}")
    can = isinstance(tokenizer, TrainableTokenizer), isinstance(tokenizer, CodingTokenizer)
    return KINDS[can](tokenizer, spec, origin)


def tokenizer_title(tokenizer: Tokenizer) -> str:
    """Return what messages call a tokenizer."""
    spec = getattr(tokenizer, "seqlm_spec", None)
    return f"tokenizer {type(tokenizer).__name__}" if spec is None else plugin_title(spec)


def origin_of(tokenizer: Tokenizer) -> TokenizerOrigin | None:
    """Return where a tokenizer came from; None if only this process can build it."""
    origin: TokenizerOrigin | None = getattr(tokenizer, "seqlm_origin", None)
    return origin


def learnt_as_json(tokenizer: Tokenizer) -> str | None:
    """Return what a tokenizer has learnt, ``null`` if it does not learn; None if it is nothing that JSON can hold."""
    try:
        return json.dumps(tokenizer.state() if isinstance(tokenizer, TrainableTokenizer) else None, sort_keys=True)
    except (TypeError, ValueError):
        return None


class GuardedTokenizer:
    """A tokenizer of a plugin. Other attributes are those of ``inner``, the plugin's own tokenizer."""

    def __init__(self, inner: Any, spec: TokenizerSpec, origin: TokenizerOrigin | None = None) -> None:
        self.inner = inner
        self.seqlm_spec = spec
        self.seqlm_origin = origin

    def __getattr__(self, name: str) -> Any:
        if name == "inner":  # while it is copied
            raise AttributeError(name)
        return getattr(self.inner, name)

    def tokenize(self, text: str) -> list[str]:
        """Return the tokens of ``text`` in order."""
        with plugin_code(self.seqlm_spec):
            tokens = self.inner.tokenize(text)
        if not isinstance(tokens, list):
            raise plugin_failure(self.seqlm_spec, f"tokenize returns a {type(tokens).__name__}, not a list of texts")
        return tokens

    def detokenize(self, tokens: Sequence[str]) -> str:
        """Return the text of ``tokens``."""
        with plugin_code(self.seqlm_spec):
            text = self.inner.detokenize(tokens)
        if not isinstance(text, str):
            raise plugin_failure(self.seqlm_spec, f"detokenize returns a {type(text).__name__}, not a text")
        return text

    def last_cut(self, text: str) -> int:
        """Return the last position at which ``text`` may be cut."""
        with plugin_code(self.seqlm_spec):
            cut = self.inner.last_cut(text)
        if not isinstance(cut, int) or not 0 <= cut <= len(text):
            raise plugin_failure(
                self.seqlm_spec, f"last_cut returns {cut!r}, not a position in the text, from 0 to {len(text)}"
            )
        return cut


class GuardedTrainableTokenizer(GuardedTokenizer):
    """A tokenizer of a plugin that learns from the training text."""

    def train(self, texts: Iterable[str]) -> None:
        """Learn from the training part of a text."""
        with plugin_code(self.seqlm_spec):
            self.inner.train(texts)

    def state(self) -> dict[str, Any]:
        """Return what the tokenizer has learnt."""
        with plugin_code(self.seqlm_spec):
            state: dict[str, Any] = self.inner.state()
        return state

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what :meth:`state` returned."""
        with plugin_code(self.seqlm_spec):
            self.inner.restore(state)


class GuardedCodingTokenizer(GuardedTokenizer):
    """A tokenizer of a plugin that gives codes."""

    def codes(self, text: str) -> np.ndarray:
        """Return a code for each token of ``text``."""
        with plugin_code(self.seqlm_spec):
            codes = self.inner.codes(text)
        if not isinstance(codes, np.ndarray) or codes.ndim != 1 or codes.dtype.kind not in "iu":
            raise plugin_failure(self.seqlm_spec, "codes returns something else than an array of integers (tokens,)")
        return codes

    def token_of(self, code: int) -> str:
        """Return the token of a code."""
        with plugin_code(self.seqlm_spec):
            token = self.inner.token_of(code)
        if not isinstance(token, str):
            raise plugin_failure(self.seqlm_spec, f"token_of returns a {type(token).__name__}, not a text")
        return token


class GuardedTrainableCodingTokenizer(GuardedTrainableTokenizer, GuardedCodingTokenizer):
    """A tokenizer of a plugin that learns from the training text, and gives codes."""


KINDS = {
    (False, False): GuardedTokenizer,
    (True, False): GuardedTrainableTokenizer,
    (False, True): GuardedCodingTokenizer,
    (True, True): GuardedTrainableCodingTokenizer,
}
"""The classes of tokenizers that learn or not, and that give codes or not."""
