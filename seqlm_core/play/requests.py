"""What the page asks of a model, and the lines of JSON with which it is answered, one after the other."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping
from typing import Any, Callable

from seqlm_core.errors import SeqlmError, UsageError
from seqlm_core.runs.language_run import LanguageRun
from seqlm_core.settings.decoding_rules import DecodingRules
from seqlm_core.settings.fields import setting_types

LONGEST_TEXT = 20_000
"""The most tokens that the page may ask for, and the most characters that it may send."""
MOST_INSPECTED = 2_000
MARK = "_"
MOST_GAP = 64
FILLINGS = 5
QUESTIONS = ("continue", "surprisal", "fill")

Answer = Generator[dict[str, Any], None, None]


class Player:
    """Answers what the page asks. One answer is made at a time.

    Args:
        run: the run of a language model.
    """

    def __init__(self, run: LanguageRun) -> None:
        self.run = run
        self._alone = threading.Lock()
        made: tuple[Callable[[Mapping[str, Any]], Answer], ...] = (self._continue, self._surprisal, self._fill)
        self._questions = dict(zip(QUESTIONS, made))

    def answer(self, question: str, values: Mapping[str, Any]) -> Answer:
        """Yield the parts of an answer. What is wrong with the question comes as a part ``error``.

        Args:
            question: one of :data:`QUESTIONS`.
            values: what is asked, as the page sends it.
        """
        with self._alone:
            try:
                yield from self._questions[question](values)
            except SeqlmError as error:
                yield {"error": str(error)}

    def _continue(self, values: Mapping[str, Any]) -> Answer:
        """Yield the pieces of a text that continues the prompt."""
        prompt = _text(values, "prompt")
        length = _number(values, "length", 500, 1, LONGEST_TEXT)
        types = setting_types(DecodingRules)
        rules = {name: kind(values[name]) for name, kind in types.items() if _is_number(values.get(name))}
        seed = values.get("seed")
        for piece in self.run.stream(prompt, length=length, seed=seed if isinstance(seed, int) else None, **rules):
            yield {"text": piece}

    def _surprisal(self, values: Mapping[str, Any]) -> Answer:
        """Yield each token of a text with its surprisal in bits and the likeliest alternatives."""
        for token in self.run.inspect_text(_text(values, "text"), limit=MOST_INSPECTED).tokens:
            reading = token.left
            yield {
                "text": token.text,
                "token": token.token,
                "bits": None if reading is None else round(reading.bits, 3),
                "alternatives": [] if reading is None else [(name, round(p, 4)) for name, p in reading.alternatives],
            }

    def _fill(self, values: Mapping[str, Any]) -> Answer:
        """Yield the best fillings of the gaps of a text."""
        gap = _number(values, "gap", 3, 1, MOST_GAP)
        for filled in self.run.infill(_text(values, "text"), gap=gap, mark=MARK, count=FILLINGS):
            fillings = [filling.text for filling in filled.fillings]
            yield {"text": filled.text, "fillings": fillings, "log_probability": round(filled.log_probability, 3)}


def _text(values: Mapping[str, Any], name: str) -> str:
    text = values.get(name, "")
    if not isinstance(text, str) or len(text) > LONGEST_TEXT:
        raise UsageError(f"{name} must be a text of at most {LONGEST_TEXT:,} characters")
    return text


def _number(values: Mapping[str, Any], name: str, default: int, least: int, most: int) -> int:
    number = values.get(name, default)
    if not isinstance(number, int) or not least <= number <= most:
        raise UsageError(f"{name} must be a whole number from {least} to {most:,}")
    return number


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
