"""The folders of models of other programs: written whole or not at all, and read."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError

from seqlm_core.errors import SeqlmError, UsageError
from seqlm_core.settings.arguments import PathLike, checked_path


@contextlib.contextmanager
def new_folder(out: PathLike, overwrite: bool) -> Iterator[Path]:
    """Give a folder beside ``out`` to write within the block; at the end its files are moved to ``out``.

    Args:
        out: the folder of the exported model.
        overwrite: whether files that are there may be replaced. Other files in the folder stay.

    Raises:
        UsageError: ``out`` is a file, or it holds files and may not be overwritten.
        SeqlmError: it cannot be written to.
    """
    path = checked_path("out", out)
    if not os.fspath(out):
        raise UsageError("`out` must name a folder, not nothing")
    if path.exists() and not path.is_dir():
        raise UsageError(f"`out` {path} is a file, not a folder")
    if path.is_dir() and any(path.iterdir()) and not overwrite:
        raise UsageError(f"`out` {path} holds files; name a new folder, or let `overwrite` replace those of an export")
    try:
        place = path.resolve()
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{place.name}.", dir=place.parent) as beside:
            written = Path(beside)
            yield written
            place.mkdir(exist_ok=True)
            for file in sorted(written.iterdir()):
                with file.open("rb") as opened:
                    os.fsync(opened.fileno())
                os.replace(file, place / file.name)
    except (OSError, SafetensorError) as error:
        raise SeqlmError(f"`out` {path} cannot be written to: {getattr(error, 'strerror', None) or error}") from error


def copy_template(name: str, path: Path) -> None:
    """Copy a program that goes with an exported model."""
    shutil.copyfile(Path(__file__).with_name("templates") / f"{name}.txt", path)


def followed(path: Path) -> Path:
    """Return the file that a link leads to, since caches of models are made of links; any other path as it is."""
    return path.resolve() if path.is_symlink() else path
