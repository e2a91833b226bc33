"""Checkpoints: named arrays and plain values in one safetensors file. Loading a checkpoint executes no code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from seqlm_core.errors import NonFiniteLossError, RunError
from seqlm_core.storage.files import open_regular, write_atomically

Checkpoint = tuple[dict[str, np.ndarray], dict[str, Any]]
"""Arrays by name, and plain values."""

FORMAT = "seqlm-checkpoint-1"


def save_checkpoint(path: Path, arrays: dict[str, np.ndarray], state: dict[str, Any]) -> None:
    """Write a checkpoint, whole or not at all.

    Args:
        path: the file.
        arrays: the arrays by name. Names may contain ``/``.
        state: plain values, which JSON can hold.

    Raises:
        NonFiniteLossError: an array has an element that is infinite or not a number.
    """
    # safetensors stores the memory of an array as it is, which for a transposed array is another array.
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise NonFiniteLossError(
                f"{name} is no longer finite, so no checkpoint is written; try a lower `learning_rate`"
            )
    text = json.dumps(state, sort_keys=True)
    metadata = {"format": FORMAT, "state": text, "digest": _digest(arrays, text)}
    write_atomically(path, save(arrays, metadata=metadata))


def load_checkpoint(path: Path) -> Checkpoint:
    """Return arrays and plain values of a checkpoint.

    Raises:
        RunError: the file is missing, damaged or altered, or it is not a checkpoint of seqlm.
    """
    try:
        # By its descriptor, so that the file that is read is the one that was checked to be a regular file.
        with open_regular(path) as regular, safe_open(f"/dev/fd/{regular.fileno()}", framework="np") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise RunError(
                    f"{path} is not a checkpoint that this version of seqlm reads "
                    f"(format {metadata.get('format')!r}, not {FORMAT!r})"
                )
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dictionary
        text = metadata["state"]
        if metadata["digest"] != _digest(arrays, text):
            raise RunError(f"{path} is damaged or was altered: its digest does not match")
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise RunError(f"{path} is damaged: {name!r} holds numbers that are not finite")
        return arrays, json.loads(text)
    except (SafetensorError, KeyError, ValueError, TypeError, OSError, RecursionError) as error:
        raise RunError(f"{path} is damaged: {error}") from error


def select(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """Return the arrays whose names begin with ``prefix``, such as ``model/``. Their new names lack the prefix."""
    return {name[len(prefix) :]: array for name, array in arrays.items() if name.startswith(prefix)}


def layout(arrays: Mapping[str, np.ndarray]) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return the shape and the type of each array."""
    return {name: (array.shape, str(array.dtype)) for name, array in arrays.items()}


def _digest(arrays: dict[str, np.ndarray], text: str) -> str:
    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"\0{name}\0{array.dtype}\0{array.shape}\0".encode())
        digest.update(array.data if array.ndim and array.size else array.tobytes())
    return digest.hexdigest()
