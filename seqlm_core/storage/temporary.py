"""Temporary files, and an error that names their folder if there is no room for them."""

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
    """Turn errors of temporary files within the block into errors that a user can mend.

    Raises:
        SeqlmError: a file cannot be made or written. The message names the folder, and says how to choose another.
    """
    try:
        yield
    except OSError as error:
        # Python tries several folders. If it can write to none of them, its error names no file.
        nowhere = isinstance(error, FileNotFoundError) and "temporary directory" in str(error)
        if not nowhere and error.errno not in NO_ROOM:
            raise
        folder = os.environ.get("TMPDIR", "/tmp") if nowhere else tempfile.gettempdir()
        problem = "cannot be written to" if nowhere else os.strerror(error.errno or 0)
        raise SeqlmError(
            f"temporary files go to {folder}: {problem}; make room there, or name another folder by TMPDIR"
        ) from error
