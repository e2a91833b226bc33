"""Plugins that are not installed: Python files that the user names."""

from __future__ import annotations

import contextlib
import hashlib
import io
import sys
import types
from pathlib import Path

from seqlm_core.errors import PluginError, UsageError
from seqlm_core.plugins.foreign import describe
from seqlm_core.plugins.loading import installed_plugins
from seqlm_core.plugins.registry import Source
from seqlm_core.settings.arguments import PathLike

DIGEST_LENGTH = 12


def load_plugin(path: PathLike) -> Source:
    """Load a Python file as a plugin, for this process only. It need not be installed.

    The file is executed. If it is loaded again, its plugins replace those that it registered before.

    Args:
        path: the file. It has hook implementations, as the module of an installed plugin has.

    Returns:
        The source under which its plugins are registered.

    Raises:
        UsageError: the file cannot be read.
        PluginError: it cannot be used; then nothing of it is registered.
    """
    file = Path(path).resolve()
    try:
        text = file.read_bytes()
    except OSError as error:
        raise UsageError(f"plugin {path} cannot be read: {error.strerror}") from error
    source = Source.of_file(str(file), hashlib.blake2b(text, digest_size=16).hexdigest()[:DIGEST_LENGTH])
    printed = io.StringIO()  # standard output is for the command's result
    try:
        with contextlib.redirect_stdout(printed):
            installed_plugins().register(_executed(file, text), source)
    except PluginError as error:
        raise PluginError(f"plugin {path}: {error}") from error
    except (Exception, SystemExit) as error:
        raise PluginError(f"plugin {path} cannot be loaded: {describe(error)}") from error
    finally:
        sys.stderr.write(printed.getvalue())
    return source


def _executed(file: Path, text: bytes) -> types.ModuleType:
    """Execute ``text`` as the module of a file, and return the module. Python's cache of the file is not used."""
    module = types.ModuleType(f"seqlm_plugin_{file.stem}_{hashlib.blake2b(bytes(file), digest_size=4).hexdigest()}")
    module.__file__ = str(file)
    before = sys.modules.get(module.__name__)
    sys.modules[module.__name__] = module  # dataclasses look there for the names in their annotations
    try:
        exec(compile(text, file, "exec"), vars(module))
    except BaseException:
        del sys.modules[module.__name__]
        if before is not None:
            sys.modules[module.__name__] = before
        raise
    return module
