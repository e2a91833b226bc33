"""Writing files so that a reader finds the old one or the new one, never half of one."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from pathlib import Path
from typing import Any

from seqlm_core.errors import RunError


def is_unfinished(path: Path, whole: Path) -> bool:
    """Whether ``path`` is what a process that died left of writing ``whole``."""
    return bool(re.fullmatch(re.escape(f".{whole.name}.") + "[0-9a-f]{8}", path.name))


def check_no_link(path: Path) -> None:
    """Raise :class:`RunError` if ``path`` is a symbolic link: a run has none, and they may lead anywhere."""
    if path.is_symlink():
        raise RunError(f"{path} is a symbolic link, and a run has none; it is not followed")


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` beside ``path`` and rename it into place."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write plain values with a digest of themselves."""
    # As ASCII, since names of files that are not UTF-8 have no other encoding.
    text = json.dumps({**values, "digest": json_digest(values)}, indent=1, ensure_ascii=True)
    write_atomically(path, (text + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """Return what :func:`write_json` wrote.

    Raises:
        RunError: the file is missing, damaged or was altered.
    """
    check_no_link(path)
    try:
        values = json.loads(path.read_bytes())
        digest = values.pop("digest")
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing") from error
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise RunError(f"{path} is damaged, or no file of seqlm") from error
    if digest != json_digest(values):
        raise RunError(f"{path} is damaged or was altered: its digest does not match")
    return dict(values)


def json_digest(values: Any) -> str:
    """Return a BLAKE2b digest of plain values, in hexadecimal."""
    text = json.dumps(values, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
