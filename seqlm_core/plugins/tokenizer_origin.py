"""Where a tokenizer came from: by it other processes build the same one, and know whether it still cuts as it did."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from seqlm_core.plugins.registry import THIS_PROGRAM, Source


@dataclasses.dataclass(frozen=True)
class TokenizerOrigin:
    """What a tokenizer is built from.

    Attributes:
        name: the name of the plugin.
        options: the values of its options.
        source: where the plugin came from.
        modules: the names of the modules that hold its code.
    """

    name: str
    options: tuple[tuple[str, Any], ...]
    source: Source
    modules: tuple[str, ...]

    @classmethod
    def of(cls, name: str, options: Mapping[str, Any], source: Source, *code: Any) -> TokenizerOrigin | None:
        """Return the origin of a tokenizer; None if the running program registered it.

        Args:
            name: the name of the plugin.
            options: the values of its options.
            source: where the plugin came from.
            code: its functions and classes.
        """
        if source == THIS_PROGRAM:
            return None
        modules = tuple(dict.fromkeys(str(part.__module__) for part in code if hasattr(part, "__module__")))
        return cls(name, tuple(options.items()), source, modules)

    def fingerprint(self) -> dict[str, Any]:
        """Return plain values that are others if the tokenizer may cut a text in another way.

        These are its name and options; the version of its distribution, and of each that this one requires; and digests
        of the modules with its code, since the version of a plugin stays while it is written.
        """
        return {
            "name": self.name,
            "options": dict(self.options),
            "source": [self.source.distribution, self.source.version],
            "requires": _versions_required_by(self.source),
            "code": [_digest_of_module(name) for name in self.modules],
        }


def _versions_required_by(source: Source) -> dict[str, str]:
    versions = {}
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for text in importlib.metadata.requires(source.distribution) or [] if source.file is None else []:
            name = Requirement(text).name
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                versions[name] = importlib.metadata.version(name)
    return versions


def _digest_of_module(name: str) -> str | None:
    file = getattr(sys.modules.get(name), "__file__", None)
    try:
        return None if file is None else hashlib.blake2b(Path(file).read_bytes(), digest_size=16).hexdigest()
    except OSError:
        return None
