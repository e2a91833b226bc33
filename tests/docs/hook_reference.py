"""Prints the hook reference of ``docs/plugins.md``, which is generated from the specifications.

Run it as ``python tests/docs/hook_reference.py``. A test checks that the page contains exactly what is printed.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from collections.abc import Iterator

import seqlm_core as seqlm
from seqlm_core.plugins import hookspecs
from seqlm_core.plugins.specs import Spec

TYPES = {"str": "`str`", "bool": "`bool`", "int": "`int`", "float": "`float`", "type": "dataclass"}
TYPES["Sequence[str]"] = "list of `str`"
TYPES["str | Callable[[Any], str | None] | None"] = "`str`, callable or `None`"


def hook_reference() -> str:
    """Return the sections of all hooks, in Markdown."""
    hooks = [value for value in vars(hookspecs).values() if hasattr(value, "seqlm_spec")]
    return "\n".join("\n".join(section(hook)) for hook in hooks)


def section(hook: typing.Callable) -> Iterator[str]:
    """Yield the lines of one hook's section."""
    signature = f"{hook.__name__}{inspect.signature(hook)}".replace("'", "")
    record = getattr(seqlm, signature.split("-> ")[1].split(" |")[0])
    meanings = {**attributes(Spec), **attributes(record)}
    yield from (f"### {hook.__name__}", "", f"`{signature}`", "")
    text = plain(hook.__doc__).replace("Return ", "Returns ", 1)
    yield from (f"{text} The fields of {article(record.__name__)} `{record.__name__}`:", "")
    yield from ("| Field | Type | Default | Meaning |", "| --- | --- | --- | --- |")
    for field in dataclasses.fields(record):
        kind = TYPES.get(field.type) or ("callable or `None`" if "None" in field.type else "callable")
        default = "" if field.default is dataclasses.MISSING else f"`{name_of(field.default)}`"
        yield f"| `{field.name}` | {kind} | {default} | {meanings[field.name]} |"
    yield ""


def attributes(record: type) -> dict[str, str]:
    """Return the description of each attribute in a docstring."""
    listed = inspect.getdoc(record).partition("Attributes:\n")[2]
    found = re.findall(r"^    (\w+): (.*?)(?=^    \w+: |\Z)", listed, re.MULTILINE | re.DOTALL)
    return {name: plain(text).rstrip(".") for name, text in found}


def plain(text: str) -> str:
    """Return a docstring's text on one line, in Markdown."""
    return re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", re.sub(r"``(.+?)``", r"`\1`", " ".join(text.split())))


def name_of(value: object) -> str:
    return value.__name__ if inspect.isclass(value) else str(value)


def article(word: str) -> str:
    return "an" if word[0] in "AEIO" else "a"


if __name__ == "__main__":
    print(hook_reference())
