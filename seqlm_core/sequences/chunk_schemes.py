"""Labels that mark chunks, in the schemes BIO and BIOES: ``B-`` begins a chunk of a type, ``I-`` continues it, ``E-``
ends it, ``S-`` is a chunk of one token, and ``O`` is outside of chunks.
"""

from __future__ import annotations

import collections
import re
from collections.abc import Iterable, Sequence

import numpy as np

from seqlm_core.sequences.examples import Label
from seqlm_core.sequences.label_chains import LabelChain

OUTSIDE = "O"
CHUNK_LABEL = re.compile("([BIES])-(.+)")


def are_chunk_labels(labels: Iterable[Label | None]) -> bool:
    """Return whether labels mark chunks: each is ``O``, or ``B-``, ``I-``, ``E-`` or ``S-`` followed by a type.

    At least one label must have a type. None stands for a label that is not counted, and is ignored.
    """
    marks = {label for label in labels if label is not None and label != OUTSIDE}
    return bool(marks) and all(isinstance(label, str) and CHUNK_LABEL.fullmatch(label) for label in marks)


def chunks_only(labels: Sequence[Label]) -> LabelChain:
    """Return the chain that forbids what breaks the scheme of some labels: BIOES if one of them ends chunks, else BIO.

    ``I-X`` and ``E-X`` only follow ``B-X`` and ``I-X``. In BIOES one of them must follow.

    Raises:
        ValueError: the labels mark no chunks, or those of a type can never begin, as in the scheme IOB1.
    """
    if not are_chunk_labels(labels):
        raise ValueError("the labels are not those of the schemes BIO and BIOES, such as B-X, I-X and O")
    for mark, kind in zip(*_marks_and_types(labels)):
        if mark in "IE" and f"B-{kind}" not in labels:
            raise ValueError(f"there is {mark}-{kind} and no B-{kind} among the labels, so it could never occur")
    return _scheme(labels)


def _marks_and_types(labels: Sequence[Label]) -> tuple[list[str], list[str]]:
    parts = [CHUNK_LABEL.fullmatch(str(label)) for label in labels]
    return [part.group(1) if part else OUTSIDE for part in parts], [part.group(2) if part else "" for part in parts]


def _scheme(labels: Sequence[Label]) -> LabelChain:
    marks, types = _marks_and_types(labels)
    has_ends = "E" in marks or "S" in marks
    goes_on = np.isin(marks, ["I", "E"])
    is_open = np.isin(marks, ["B", "I"])
    same = np.array(types)[:, None] == np.array(types)
    allowed = np.where(goes_on, is_open[:, None] & same, True)
    if has_ends:
        allowed &= np.where(is_open[:, None], goes_on & same, True)
    return LabelChain(
        _forbidding(~goes_on), _forbidding(allowed), _forbidding(~is_open if has_ends else np.ones(len(labels), bool))
    )


def scheme_breaks(labels: Sequence[Label], sequences: Iterable[np.ndarray]) -> dict[str, int]:
    """Return how often sequences of labels break the scheme, by how they do it, the most frequent first.

    A continuing label whose chunk has never a beginning among the labels, as in IOB1, breaks it wherever it stands.

    Args:
        labels: the labels, in the order of their ids.
        sequences: ids of labels, ``(time,)`` each.
    """
    chain = _scheme(labels)
    counts: collections.Counter[str] = collections.Counter()
    for ids in filter(len, sequences):
        if chain.first[ids[0]]:
            counts[f"{labels[ids[0]]} at the beginning"] += 1
        for place in np.flatnonzero(chain.transitions[ids[:-1], ids[1:]]):
            counts[f"{labels[ids[place + 1]]} after {labels[ids[place]]}"] += 1
        if chain.last[ids[-1]]:
            counts[f"{labels[ids[-1]]} at the end"] += 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _forbidding(allowed: np.ndarray) -> np.ndarray:
    return np.where(allowed, 0.0, -np.inf)
