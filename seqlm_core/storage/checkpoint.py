"""Checkpoints: named arrays and plain values in one safetensors file. Loading a checkpoint executes no code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Callable

import numpy as np
from safetensors import SafetensorError, safe_open

from seqlm_core.errors import NonFiniteLossError, RunError
from seqlm_core.storage.files import open_regular, path_of, replacing

Checkpoint = tuple[dict[str, np.ndarray], dict[str, Any]]
"""Arrays by name, and plain values."""

FORMAT = "seqlm-checkpoint-1"

TYPE_LETTERS = {"f": "F", "i": "I", "u": "U"}
"""How safetensors writes NumPy's kinds of numbers."""


def save_checkpoint(path: Path, arrays: Mapping[str, np.ndarray], state: dict[str, Any]) -> None:
    """Write a checkpoint, whole or not at all.

    Args:
        path: the file.
        arrays: the arrays by name. Names may contain ``/``.
        state: plain values, which JSON can hold.

    Raises:
        NonFiniteLossError: an array has an element that is infinite or not a number.
    """
    # What is written is the memory of an array, which for a transposed array is that of another.
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise NonFiniteLossError(
                f"{name} is no longer finite, so no checkpoint is written; try a lower `learning_rate`"
            )
    text = json.dumps(state, sort_keys=True)
    metadata = {"format": FORMAT, "state": text, "digest": _digest(arrays, arrays.__getitem__, text)}
    with replacing(path) as beside, beside.open("wb") as file:
        _write(file, arrays, metadata)


def load_checkpoint(path: Path) -> Checkpoint:
    """Return arrays and plain values of a checkpoint.

    Raises:
        RunError: the file is missing, damaged or altered, or it is not a checkpoint of seqlm.
    """
    arrays: dict[str, np.ndarray] = {}
    return arrays, load_state(path, arrays)


def load_state(path: Path, arrays: dict[str, np.ndarray] | None = None) -> dict[str, Any]:
    """Return the plain values of a checkpoint.

    Args:
        path: the file.
        arrays: what the arrays are added to; without it they are checked one at a time, and forgotten.

    Raises:
        RunError: as by :func:`load_checkpoint`.
    """
    try:
        # By its descriptor if possible, so that the file that is read is the one that was checked to be a regular file.
        with open_regular(path) as regular, safe_open(path_of(regular, path), framework="np") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise RunError(
                    f"{path} is not a checkpoint that this version of seqlm reads "
                    f"(format {metadata.get('format')!r}, not {FORMAT!r})"
                )
            text = metadata["state"]
            if metadata["digest"] != _digest(file.keys(), lambda name: _array_of(file, path, name, arrays), text):
                raise RunError(f"{path} is damaged or was altered: its digest does not match")
            return dict(json.loads(text))
    except (SafetensorError, KeyError, ValueError, TypeError, OSError, RecursionError) as error:
        raise RunError(f"{path} is damaged: {error}") from error


def state_in(path: Path) -> dict[str, Any]:
    """Return the plain values of a checkpoint without reading its arrays, so that the digest is not checked.

    Raises:
        RunError: the file is missing or cut off, or it is not a checkpoint.
    """
    metadata = _metadata(path)
    try:
        if metadata["format"] != FORMAT:
            raise ValueError(f"its format is {metadata['format']!r}")
        return dict(json.loads(metadata["state"]))
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise RunError(f"{path} is damaged: {error}") from error


def load_mapped(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any], str]:
    """Return arrays that are mapped into memory, plain values, and the digest of both.

    Raises:
        RunError: as by :func:`load_checkpoint`.
    """
    try:
        # The library checks the whole header; where the arrays begin is not among what it tells.
        with open_regular(path) as file, safe_open(path_of(file, path), framework="np"):
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
            metadata = header.pop("__metadata__")
            if metadata["format"] != FORMAT:
                raise ValueError(f"its format is {metadata['format']!r}")
            mapped = {name: _mapped(file, 8 + length, **described) for name, described in header.items()}
            text, digest = metadata["state"], metadata["digest"]
            if digest != _digest(mapped, mapped.__getitem__, text):
                raise RunError(f"{path} is damaged or was altered: its digest does not match")
            return mapped, dict(json.loads(text)), digest
    except (SafetensorError, KeyError, ValueError, TypeError, OSError, RecursionError) as error:
        raise RunError(f"{path} is damaged: {error}") from error


def digest_in(path: Path) -> str:
    """Return the digest that a checkpoint names, which says what it holds if it is whole.

    Raises:
        RunError: the file is missing, or is not a checkpoint.
    """
    try:
        return _metadata(path)["digest"]
    except KeyError as error:
        raise RunError(f"{path} is damaged: {error}") from error


def _metadata(path: Path) -> dict[str, str]:
    try:
        with open_regular(path) as regular, safe_open(path_of(regular, path), framework="np") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path} is damaged: {error}") from error


def _mapped(file: BinaryIO, start: int, dtype: str, shape: list[int], data_offsets: list[int]) -> np.ndarray:
    kinds = {letter: kind for kind, letter in TYPE_LETTERS.items()}
    kind = np.dtype(f"{kinds[dtype[0]]}{int(dtype[1:]) // 8}")
    return np.memmap(file, kind, "r", start + data_offsets[0], tuple(shape))


def _array_of(file: Any, path: Path, name: str, arrays: dict[str, np.ndarray] | None) -> np.ndarray:
    array: np.ndarray = file.get_tensor(name)
    if not np.isfinite(array).all():
        raise RunError(f"{path} is damaged: {name!r} holds numbers that are not finite")
    if arrays is not None:
        arrays[name] = array
    return array


def select(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Return the arrays whose names begin with ``prefix``, such as ``model/``. Their new names lack the prefix."""
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}


def layout(arrays: Mapping[str, Any]) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return the shape and the type of each array, of NumPy or of MXNet."""
    return {name: (array.shape, np.dtype(array.dtype).name) for name, array in arrays.items()}


def _write(file: BinaryIO, arrays: Mapping[str, np.ndarray], metadata: dict[str, str]) -> None:
    """Write a file of safetensors (https://github.com/huggingface/safetensors#format).

    The functions of the library copy all arrays first, or write to a file whose name they choose.
    """
    header: dict[str, Any] = {"__metadata__": metadata}
    names = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))  # so that all of them are aligned
    end = 0
    for name in names:
        array = arrays[name]
        begin, end = end, end + array.nbytes
        kind = f"{TYPE_LETTERS[array.dtype.kind]}{8 * array.itemsize}"
        header[name] = {"dtype": kind, "shape": array.shape, "data_offsets": (begin, end)}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    for name in names:
        file.write(_bytes(arrays[name]))


def _bytes(array: np.ndarray) -> bytes | memoryview:
    return array.data if array.ndim and array.size else array.tobytes()


def _digest(names: Iterable[str], get: Callable[[str], np.ndarray], text: str) -> str:
    """Return the digest of arrays, asked for one at a time, and of a text."""
    digest = hashlib.blake2b(text.encode(), digest_size=16)

    def add(name: str, array: np.ndarray) -> None:
        digest.update(f"\0{name}\0{array.dtype}\0{array.shape}\0".encode())
        digest.update(_bytes(array))

    for name in sorted(names):
        add(name, get(name))
    return digest.hexdigest()
