"""Writes a package with a working plugin, which its author then changes."""

from __future__ import annotations

import importlib.resources
import string
from pathlib import Path

from seqlm_core.errors import UsageError
from seqlm_core.plugins.loading import installed_plugins
from seqlm_core.plugins.specs import NAME_PATTERN, PLUGIN_KINDS
from seqlm_core.settings.arguments import PathLike
from seqlm_core.version import __version__


def new_plugin(name: str, kind: str, parent: PathLike = ".") -> Path:
    """Write a package that registers a plugin, and return its directory, ``seqlm-NAME``.

    Args:
        name: the name of the plugin.
        kind: ``cell``, ``tokenizer`` or ``optimizer``.
        parent: the directory in which ``seqlm-NAME`` is made.

    Raises:
        UsageError: the name cannot be used or is taken, or the directory exists or cannot be written.
    """
    if kind not in PLUGIN_KINDS:
        raise UsageError(f"no kind {kind!r}; there are: {', '.join(PLUGIN_KINDS)}")
    if not NAME_PATTERN.fullmatch(name) or name[-1] in "-_":
        raise UsageError(
            f"{name!r} cannot be the name of a plugin: it must begin with a lower-case letter, go on with these, "
            "digits, '-' and '_', and not end with '-' or '_'"
        )
    registry = next(registry for registry in installed_plugins().registries if registry.kind == kind)
    if name in registry.names():
        raise UsageError(f"{kind} {name!r} exists already, from {registry.entry(name).source}; choose another name")
    module = "seqlm_" + name.replace("-", "_")
    values = {
        "name": name,
        "kind": kind,
        "distribution": f"seqlm-{name}",
        "module": module,
        "identifier": name.replace("-", "_"),
        "class_name": "".join(part.capitalize() for part in name.replace("-", "_").split("_")),
        "version": __version__,
    }
    directory = Path(parent) / f"seqlm-{name}"
    files = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        f"{module}.py": f"{kind}.py",
        f"tests/test_{values['identifier']}.py": "test.py",
    }
    try:
        directory.mkdir(parents=True)
        for file, template in files.items():
            path = directory / file
            path.parent.mkdir(exist_ok=True)
            path.write_text(_filled(template, values), encoding="utf-8")
    except FileExistsError as error:
        raise UsageError(f"{directory} exists already; remove it, or choose another name or `parent`") from error
    except OSError as error:
        raise UsageError(f"{error.filename or directory} cannot be written: {error.strerror}") from error
    return directory


def _filled(template: str, values: dict[str, str]) -> str:
    text = (importlib.resources.files(__package__) / "templates" / f"{template}.txt").read_text(encoding="utf-8")
    return string.Template(text).substitute(values)
