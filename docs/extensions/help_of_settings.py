"""Documents each setting of a dataclass by its help text, as the command line does, where autodoc documents the class."""

from __future__ import annotations

import dataclasses
import importlib
import re
from typing import Any

from sphinx.application import Sphinx


def add_help(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Replace the text about an attribute by the help of the setting that it is, if it is one."""
    owner, _, attribute = name.rpartition(".")
    kind = class_called(owner) if what == "attribute" else None
    if kind is None or not dataclasses.is_dataclass(kind):
        return
    for field in dataclasses.fields(kind):
        if field.name == attribute and "help" in field.metadata:
            lines[:] = [re.sub(r"([\\*`|_<])", r"\\\1", " ".join(field.metadata["help"].split())), ""]


def class_called(name: str) -> type | None:
    """Return a class by its full name; None if there is none."""
    module, _, attribute = name.rpartition(".")
    try:
        value = getattr(importlib.import_module(module), attribute, None) if module else None
    except ImportError:
        return None
    return value if isinstance(value, type) else None


def setup(app: Sphinx) -> dict[str, Any]:
    """Register what is called for each docstring."""
    app.connect("autodoc-process-docstring", add_help)
    return {"version": "1", "parallel_read_safe": True}
