"""Temporary files, with an error that names their folder where there is no room for them."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator

from seqlm_core.errors import SeqlmError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def readable_file_errors() -> Iterator[None]:
    """Tell of temporary files that cannot be made or written.

    Raises:
        SeqlmError: with the folder, and how to choose another.
    """
    try:
        yield
    except OSError as error:
        # Python itself looks for a folder of which none can be written to; the error then names no file.
        nowhere = isinstance(error, FileNotFoundError) and "temporary directory" in str(error)
        if not nowhere and error.errno not in NO_ROOM:
            raise
        folder = os.environ.get("TMPDIR", "/tmp") if nowhere else tempfile.gettempdir()
        problem = "cannot be written to" if nowhere else os.strerror(error.errno or 0)
        raise SeqlmError(
            f"temporary files go to {folder}: {problem}; make room there, or name another folder by TMPDIR"
        ) from error
