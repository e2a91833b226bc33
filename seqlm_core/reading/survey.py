"""The length of a text, which is looked up if the file is the one that was read earlier."""

from __future__ import annotations

import codecs
import os
import time

from seqlm_core.reading.text import Fingerprint, TextFile, check_readable
from seqlm_core.storage.cache import Cache
from seqlm_core.storage.files import json_digest

SETTLED = 2.0
"""A file that was changed fewer seconds ago may be changed again without a new time of its change."""


def surveyed_length(file: TextFile, encoding: str, cache: Cache | None) -> int:
    """Return the length of a text in characters. Its fingerprint is known afterwards.

    What was found is kept. It is looked up if path, size, and the times of the file's last changes are the same. One of
    these times is the system's own, which no program can set.

    Args:
        file: the file.
        encoding: its encoding.
        cache: keeps what was found; None if it is not kept.

    Raises:
        TextError: it cannot be read, or changed while it was read.
        RunError: it does not have the fingerprint that was recorded.
    """
    if cache is None:
        return sum(map(len, file.blocks(encoding)))
    check_readable(file)
    began = time.time()
    before = file.path.stat()
    key = json_digest(
        {"path": os.path.realpath(file), "encoding": codecs.lookup(encoding).name, "state": _state(before)}
    )
    known = cache.fact(key)
    if known is not None:
        file.recognize(Fingerprint(*known["fingerprint"]), before)
        return int(known["characters"])
    characters = sum(map(len, file.blocks(encoding)))
    found = {"characters": characters, "fingerprint": [file.fingerprint.size, file.fingerprint.digest]}
    after = file.path.stat()
    if _state(after) == _state(before) and max(after.st_mtime, after.st_ctime) < began - SETTLED:
        cache.keep_fact(key, found)
    return characters


def _state(found: os.stat_result) -> list[int]:
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]
