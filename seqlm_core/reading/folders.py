"""The texts of a folder."""

from __future__ import annotations

import os
from pathlib import Path

from seqlm_core.errors import TextError
from seqlm_core.settings.arguments import PathLike


def files_in(folder: PathLike) -> list[Path]:
    """Return the files in a folder and in its folders, sorted by the names of folders and files.

    What is hidden (its name begins with a dot) is left out, and so are empty files, which hold no text. Links to files
    are followed; links to folders are not, since they might lead in a circle.

    Raises:
        TextError: a folder cannot be read, or there is no such file.
    """
    folder = Path(folder)
    found: list[Path] = []
    try:
        for parent, folders, names in os.walk(folder, onerror=_raise):
            folders[:] = [name for name in folders if not name.startswith(".")]
            paths = (Path(parent, name) for name in names if not name.startswith("."))
            found += [path for path in paths if path.is_file() and path.stat().st_size]
    except OSError as error:
        raise TextError(f"{error.filename or folder} cannot be read: {error.strerror}") from error
    if not found:
        raise TextError(f"the folder {folder} holds no text: no file in it that is neither hidden nor empty")
    return sorted(found, key=lambda path: path.relative_to(folder).parts)


def _raise(error: OSError) -> None:
    raise error
