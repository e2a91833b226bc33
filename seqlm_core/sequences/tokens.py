"""Tokens as examples hold them: a text, or a tuple of a text and further columns, such as a part of speech."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any, Union

import numpy as np

from seqlm_core.errors import UsageError

Token = Union[str, tuple[str, ...]]

WHOLE_NUMBERS = (numbers.Integral, np.bool_)


def texts_of(sequence: Sequence[Token]) -> list[str]:
    """Return the tokens without their further columns."""
    return [token if isinstance(token, str) else token[0] for token in sequence]


def further_columns(sequence: Sequence[Token]) -> list[list[str]]:
    """Return each further column of the tokens, all of which have as many of them."""
    if not sequence or isinstance(sequence[0], str):
        return []
    return [list(column) for column in zip(*sequence)][1:]


def count_columns(sequence: Sequence[Token]) -> int:
    """Return the number of further columns of the tokens; 0 for an empty sequence."""
    return len(sequence[0]) - 1 if sequence and not isinstance(sequence[0], str) else 0


def checked_tokens(sequence: Any, where: str) -> list[Token]:
    """Return tokens in a single form; ``where`` names the sequence in messages.

    Raises:
        UsageError: a token is neither a text nor a whole number, nor a tuple of such.
    """
    if isinstance(sequence, np.ndarray):
        sequence = sequence.tolist()
    if isinstance(sequence, (str, bytes)):
        raise UsageError(f"{where} is a text, {sequence[:20]!r}; a list of tokens is needed, such as list(text)")
    try:
        listed = list(sequence)
    except TypeError as error:
        raise UsageError(f"{where} is not a sequence of tokens but {sequence!r}") from error
    return [token if isinstance(token, str) else _token(token, where, step) for step, token in enumerate(listed, 1)]


def check_columns(sequences: Sequence[Sequence[Token]]) -> None:
    """Raise :class:`UsageError` unless all tokens of all sequences have the same number of columns."""
    first: tuple[int, int, int] | None = None
    for number, sequence in enumerate(sequences, 1):
        for step, token in enumerate(sequence, 1):
            columns = 1 if isinstance(token, str) else len(token)
            first = first or (columns, number, step)
            if columns != first[0]:
                raise UsageError(
                    f"token {step} of sequence {number} has {columns} columns, and token {first[2]} of sequence "
                    f"{first[1]} has {first[0]}; give every token the same"
                )


def _token(token: Any, where: str, step: int) -> Token:
    parts = token if isinstance(token, (tuple, list)) else [token]
    if parts and all(isinstance(part, (str, *WHOLE_NUMBERS)) for part in parts):
        texts = [part if isinstance(part, str) else str(int(part)) for part in parts]
        return tuple(texts) if len(texts) > 1 else texts[0]
    raise UsageError(
        f"{where} has {token!r} at time step {step}; a token is a text or a whole number, or a tuple of such with its "
        "further columns"
    )
