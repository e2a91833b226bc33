"""What autodoc does not know of dataclasses: short signatures, and the help texts of settings.

Settings have no docstrings. Each is documented with its type, default and help, in the groups of the command line.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

from sphinx.application import Sphinx

from seqlm_core.settings.fields import GROUPS

SPECIAL = re.compile(r"([\\*`|_<])")


def shorten_signature(app: Sphinx, what: str, name: str, kind: Any, options: Any, given: str | None, _: Any) -> Any:
    """Return the signature of a dataclass without the types, which are listed below it; None leaves it as it is."""
    if what != "class" or not dataclasses.is_dataclass(kind) or settings_of(kind):
        return None
    arguments = []
    for field in dataclasses.fields(kind):
        default = getattr(field.default, "__name__", repr(field.default))
        arguments.append(field.name if field.default is dataclasses.MISSING else f"{field.name}={default}")
    return f"({', '.join(arguments)})", None


def settings_of(kind: Any) -> list[dataclasses.Field[Any]]:
    """Return the fields of a dataclass that are settings."""
    return [field for field in dataclasses.fields(kind) if "help" in field.metadata]


def add_settings(app: Sphinx, what: str, name: str, kind: Any, options: Any, lines: list[str]) -> None:
    """Add the settings of a class to its docstring."""
    if what == "class" and dataclasses.is_dataclass(kind):
        lines += attributes(settings_of(kind))


def attributes(fields: list[dataclasses.Field[Any]]) -> Iterator[str]:
    """Yield the lines about settings, in reStructuredText."""
    grouped: dict[str | None, list[dataclasses.Field[Any]]] = {}
    for field in fields:
        grouped.setdefault(field.metadata.get("group"), []).append(field)
    for group in (*GROUPS, None):
        if group in grouped and len(grouped) > 1:
            yield from ("", f".. rubric:: Settings of the group {group}" if group else ".. rubric:: Other settings", "")
        for field in grouped.get(group, []):
            default = {} if field.default is dataclasses.MISSING else field.default
            yield from (
                "",
                f".. py:attribute:: {field.name}",
                f"    :type: {field.type}",
                f"    :value: {default!r}",
                "",
            )
            text = SPECIAL.sub(r"\\\1", " ".join(field.metadata["help"].split()))
            yield from (f"    {text}", "")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register what is called for each class."""
    app.connect("autodoc-process-signature", shorten_signature)
    app.connect("autodoc-process-docstring", add_settings)
    return {"version": "1", "parallel_read_safe": True}
