"""Reads a PyTorch state dict from a safetensors file, and checks that it fits a model."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from seqlm_core.errors import RunError
from seqlm_core.interchange.folders import followed
from seqlm_core.interchange.pytorch_names import torch_name
from seqlm_core.storage.files import open_regular

OTHER_FILES = ("*.pt", "*.pth", "*.bin", "*.ckpt")
"""The names of files in which PyTorch itself keeps weights, and which can hold code that runs when they are loaded."""


def read_state_dict(path: Path, shapes: Mapping[str, tuple[int, ...]], tied: bool) -> dict[str, np.ndarray]:
    """Return the weights of a state dict by the names that they have in a checkpoint.

    Args:
        path: the file.
        shapes: the shapes of the model's parameters, by the latter names.
        tied: whether the embeddings are the output weights.

    Raises:
        RunError: the file is missing, or is none of safetensors; or a weight is missing, unknown, of another shape or
            type, or not finite.
    """
    wanted = {torch_name(name, tied): name for name in shapes}
    _check_is_there(path)
    try:
        with open_regular(followed(path)) as regular, safe_open(f"/dev/fd/{regular.fileno()}", framework="np") as file:
            found = set(file.keys())
            for name in sorted(found - wanted.keys()):
                raise RunError(f"{path} has {reprlib.repr(name)}, which the model of model.json does not have")
            for name in wanted:
                if name not in found:
                    raise RunError(f"{path} has no {name!r}, which the model of model.json needs")
            return {own: _weight(path, file, name, shapes[own]) for name, own in wanted.items()}
    except (SafetensorError, OSError, ValueError) as error:
        raise RunError(f"{path} is not a safetensors file, or is damaged: {error}") from error


def _check_is_there(path: Path) -> None:
    if path.exists():
        return
    for pattern in OTHER_FILES:
        for other in sorted(path.parent.glob(pattern)):
            raise RunError(
                f"{other} is not read, since such files can hold code that runs when they are loaded; save the weights "
                f"as safetensors: safetensors.torch.save_file(model.state_dict(), {path.name!r})"
            )


def _weight(path: Path, file: object, name: str, shape: tuple[int, ...]) -> np.ndarray:
    part = file.get_slice(name)  # type: ignore[attr-defined]
    if part.get_dtype() != "F32":
        raise RunError(f"{path}: {name!r} is of type {part.get_dtype()}, and must be F32 (model.float())")
    if tuple(part.get_shape()) != shape:
        raise RunError(f"{path}: {name!r} has shape {tuple(part.get_shape())}, and must have {shape}")
    array: np.ndarray = file.get_tensor(name)  # type: ignore[attr-defined]
    if not np.isfinite(array).all():
        raise RunError(f"{path}: {name!r} has numbers that are not finite")
    return array
