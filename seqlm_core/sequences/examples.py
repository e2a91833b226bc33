"""Examples: sequences with what is to be predicted for them. They are checked, and kept as lines of JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Union

import numpy as np

from seqlm_core.errors import RunError, UsageError
from seqlm_core.reading.text import Fingerprint, TextFile, new_digest
from seqlm_core.sequences.tokens import WHOLE_NUMBERS, check_columns, checked_tokens
from seqlm_core.settings.arguments import PathLike

Label = Union[str, int]
Example = tuple[Any, Any]
"""A pair ``(inputs, outputs)`` of the kinds below."""

INPUTS = ("tokens", "values")
OUTPUTS = ("labels", "label", "values")

NOT_COUNTED = None
"""The label of a time step that is neither trained nor scored. Among values, ``nan`` has this meaning."""


def check_inputs(inputs: Iterable[Any], kind: str) -> list[Any]:
    """Return sequences in a single form: tokens as lists of texts, values as arrays ``(time, channels)``.

    Args:
        inputs: sequences of tokens (texts; a whole number is read as its digits; a tuple holds a token and its further
            columns, such as a part of speech), or of values (arrays ``(time, channels)`` or ``(time,)`` of finite
            numbers).
        kind: ``tokens`` or ``values``.

    Raises:
        UsageError: a sequence is not of this kind.
    """
    if isinstance(inputs, (str, bytes)):
        raise UsageError(f"a list of sequences is needed, not the text {inputs[:20]!r}")
    try:
        listed = list(inputs)
    except TypeError as error:
        raise UsageError(f"a list of sequences is needed, not {inputs!r}") from error
    named = [(sequence, f"sequence {number}") for number, sequence in enumerate(listed, 1)]
    if kind == "tokens":
        sequences = [checked_tokens(sequence, where) for sequence, where in named]
        check_columns(sequences)
        return sequences
    arrays = [_finite_values(sequence, where) for sequence, where in named]
    _check_channels(arrays, "sequence")
    return arrays


def check_examples(examples: Iterable[Any], inputs: str, outputs: str) -> list[Example]:
    """Return examples in a single form, their inputs as :func:`check_inputs` returns them.

    Args:
        examples: pairs ``(inputs, outputs)``.
        inputs: the kind of the inputs, ``tokens`` or ``values``.
        outputs: the kind of the outputs. ``labels`` is a list with a label for each time step: a text, a whole number,
            or None if the time step does not count. ``label`` is a single label for the sequence. ``values`` is an
            array ``(time, channels)`` or ``(time,)``, with ``nan`` in time steps that do not count.

    Raises:
        UsageError: an example does not fit these kinds.
    """
    try:
        numbered = enumerate(examples, 1)
    except TypeError as error:
        raise UsageError(f"a list of pairs (inputs, outputs) is needed, not {examples!r}") from error
    pairs = []
    for number, pair in numbered:
        try:
            first, second = pair
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"example {number} is not a pair (inputs, outputs); examples are a list of such pairs"
            ) from error
        pairs.append((first, second))
    read = check_inputs([first for first, _ in pairs], inputs)
    checked: list[Example] = []
    for number, (sequence, (_, target)) in enumerate(zip(read, pairs), 1):
        where = f"example {number}"
        if outputs == "label":
            if not len(sequence):
                raise UsageError(f"{where} has an empty sequence, which cannot have a label")
            checked.append((sequence, _label(target, where)))
            continue
        found = _labels(target, where) if outputs == "labels" else _values(target, where)
        if len(found) != len(sequence):
            raise UsageError(f"{where} has {len(sequence)} time steps and {len(found)} {outputs}; as many are needed")
        checked.append((sequence, found))
    if outputs == "values":
        _check_channels([target for _, target in checked], "the outputs of example")
    return checked


def write_examples(path: Path, examples: Iterable[Example]) -> TextFile:
    """Write examples as lines of JSON, which :func:`read_examples` reads again."""

    def plain(part: Any) -> Any:
        if not isinstance(part, np.ndarray):
            return part
        return [[None if math.isnan(x) else x for x in row] for row in part.tolist()]

    digest = new_digest()
    with path.open("wb") as file:
        for inputs, outputs in examples:
            line = (json.dumps([plain(inputs), plain(outputs)]) + "\n").encode("ascii")
            digest.update(line)
            file.write(line)
        return TextFile(path, Fingerprint(file.tell(), digest.hexdigest()))


def read_examples(path: PathLike, inputs: str, outputs: str) -> list[Example]:
    """Return the examples that :func:`write_examples` wrote.

    Raises:
        RunError: the file is damaged, or has changed since the run began.
        TextError: the file changed while it was read.
    """

    def array(rows: list[list[Any]]) -> np.ndarray:
        return np.array([[math.nan if x is None else x for x in row] for row in rows], dtype=np.float64)

    file = TextFile.of(path)
    examples = []
    try:
        for line in file.read_bytes().splitlines():
            first, second = json.loads(line)
            first = array(first) if inputs == "values" else first
            examples.append((first, array(second) if outputs == "values" else second))
    except (ValueError, TypeError) as error:
        raise RunError(f"{file} is damaged: line {len(examples) + 1} is not an example") from error
    return check_examples(examples, inputs, outputs)


def _values(sequence: Any, where: str) -> np.ndarray:
    """Return a sequence of values as an array ``(time, channels)``."""
    if isinstance(sequence, np.ndarray) and np.iscomplexobj(sequence):
        raise UsageError(f"{where} has complex numbers; give their real and imaginary parts as channels")
    try:
        array = np.asarray(sequence, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{where} is not an array of numbers: {error}") from error
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or not array.shape[1]:
        raise UsageError(f"{where} has shape {array.shape}; (time,) or (time, channels) is needed")
    if np.isinf(array).any():
        raise UsageError(f"{where} has an infinite value at time step {1 + int(np.isinf(array).any(axis=1).argmax())}")
    return array


def _finite_values(sequence: Any, where: str) -> np.ndarray:
    array = _values(sequence, where)
    missing = np.isnan(array).any(axis=1)
    if missing.any():
        raise UsageError(f"{where} has nan at time step {1 + int(missing.argmax())}; inputs must be numbers")
    return array


def _check_channels(arrays: Sequence[np.ndarray], what: str) -> None:
    # The number of channels of an empty sequence is not known.
    channels = [(number, array.shape[1]) for number, array in enumerate(arrays, 1) if len(array)]
    for number, found in channels:
        first, wanted = channels[0]
        if found != wanted:
            raise UsageError(f"{what} {number} has {found} channels, and {what} {first} has {wanted}")


def _labels(target: Any, where: str) -> list[Label | None]:
    if isinstance(target, np.ndarray):
        target = target.tolist()
    if isinstance(target, (str, bytes)):
        raise UsageError(f"{where} has a text as its labels, {target[:20]!r}; a list of labels is needed")
    try:
        listed = list(target)
    except TypeError as error:
        raise UsageError(f"{where} has {target!r} as its labels; a list of labels is needed") from error
    return [label if label is NOT_COUNTED else _label(label, where) for label in listed]


def _label(label: Any, where: str) -> Label:
    if isinstance(label, str):
        return label
    if isinstance(label, WHOLE_NUMBERS):
        return int(label)
    raise UsageError(f"{where} has the label {label!r}; a label is a text or a whole number")
