"""Where texts come from: named files, standard input, or the sample text."""

from __future__ import annotations

import glob
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Union

from seqlm_core.errors import TextError, UsageError
from seqlm_core.reading.compression import without_suffix
from seqlm_core.reading.folders import files_in
from seqlm_core.reading.text import TextFile, check_readable
from seqlm_core.settings.arguments import PathLike, checked_path
from seqlm_core.storage.temporary import readable_file_errors

Texts = Union[PathLike, Sequence[PathLike], None]

STANDARD_INPUT = "-"
STANDARD_INPUT_FILE = "standard-input.txt"
DEFAULT_TEXT = Path("data/input.txt")


class StandardInput(TextFile):
    """The file that standard input was copied to."""


@contextmanager
def open_texts(texts: Texts, folders: bool = False) -> Iterator[tuple[TextFile, ...]]:
    """Open one or several texts, and yield their files. A copy of standard input is removed at the end.

    Args:
        texts: the paths of the texts.
        folders: whether a path may be that of a folder, which stands for the files in it.

    Raises:
        TextError: a file is missing, empty, or cannot be read.
        UsageError: standard input is named more than once.
    """
    with open_groups(path_list(texts), folders=folders) as (files,):
        yield files


@contextmanager
def open_groups(*groups: Sequence[PathLike], folders: bool = False) -> Iterator[list[tuple[TextFile, ...]]]:
    """Open several groups of texts, and yield their files. At most one text is standard input.

    Standard input is copied to a temporary file with the name :data:`STANDARD_INPUT_FILE`. It is removed at the end, if
    it still exists.

    Args:
        groups: the paths of the texts.
        folders: whether a path may be that of a folder, which stands for the files in it.

    Raises:
        TextError: a file is missing, empty, or cannot be read.
        UsageError: standard input is named more than once.
    """
    named = check_texts([path for group in groups for path in group], folders)
    with tempfile.TemporaryDirectory(prefix="seqlm-") if STANDARD_INPUT in named else nullcontext() as folder:
        copy = None if folder is None else StandardInput(_copy_of_standard_input(Path(folder)))
        yield [
            tuple(
                file
                for name in group
                for file in ([copy] if copy and os.fspath(name) == STANDARD_INPUT else _files(name, folders))
            )
            for group in groups
        ]


def check_texts(texts: Texts, folders: bool = False) -> list[str]:
    """Return the names of texts, after checking that they can be read and that standard input is named at most once.

    Args:
        texts: the paths of the texts.
        folders: whether a path may be that of a folder.
    """
    named = [os.fspath(name) for name in path_list(texts)]
    if named.count(STANDARD_INPUT) > 1:
        raise UsageError("standard input (-) can be read only once")
    for name in named:
        if name != STANDARD_INPUT:
            for file in _files(name, folders):
                check_readable(file)
    return named


def _files(name: PathLike, folders: bool) -> list[TextFile]:
    """Return the file of a path, the files in the folder of a path, or the files of a pattern, sorted by their names.

    A path with ``*``, ``?`` or ``[`` is a pattern if there is no file of that name.
    """
    if folders and Path(name).is_dir():
        return [TextFile(path, folder=Path(name)) for path in files_in(name)]
    pattern = os.fspath(name)
    if glob.has_magic(pattern) and not os.path.lexists(pattern):
        found = sorted(path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path))
        if not found:
            raise TextError(f"no file matches {pattern}")
        return [TextFile(path) for path in found]
    return [TextFile(name)]


def default_text() -> Path:
    """Return ``data/input.txt`` of the current folder or, if there is none, the sample text that comes with seqlm.

    Raises:
        TextError: neither exists.
    """
    package = Path(__file__).resolve().parents[1]
    for path in (DEFAULT_TEXT, package / DEFAULT_TEXT, package.parent / DEFAULT_TEXT):
        if path.is_file():
            return path
    raise TextError(f"no text is named, and there is no {DEFAULT_TEXT}")


def text_name(path: PathLike) -> str:
    """Return a short name for a text, made of the name of its file or folder."""
    return "standard-input" if os.fspath(path) == STANDARD_INPUT else without_suffix(Path(path))


def path_list(texts: Texts) -> list[PathLike]:
    """Return the paths of texts. Raise :class:`UsageError` if something is not a path."""
    if texts is None:
        return []
    if isinstance(texts, (str, os.PathLike)):
        return [texts]
    if not isinstance(texts, Iterable):
        raise UsageError(f"a text is given by the path of its file, or by a list of paths, not by {texts!r}")
    paths = list(texts)
    for path in paths:
        checked_path("path of a text", path)
    return paths


def _copy_of_standard_input(folder: Path) -> Path:
    if sys.stdin is None:
        raise TextError("standard input is closed")
    path = folder / STANDARD_INPUT_FILE  # messages name it
    with readable_file_errors(), path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
        if not file.tell():
            raise TextError("standard input is empty")
    return path
