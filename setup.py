"""Builds the two native libraries. Everything else about the package is in pyproject.toml.

They are plain shared libraries, which are loaded at run time. Both are optional: if one cannot be built, for example
because there is no C++ compiler, a warning says so, and NumPy generates text or MXNet's own operators train.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import runpy
import sys
import sysconfig
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

SOURCES = Path("seqlm_core", "native", "src")

# The module needs nothing but the standard library. The package cannot be imported before it is installed.
LIBRARY_SUFFIX = runpy.run_path(str(Path(__file__).parent / "seqlm_core" / "native" / "library.py"))["LIBRARY_SUFFIX"]

# Options of GCC and Clang. The compiler may fuse products and sums, and mathematical functions need not set errno.
# Everything else follows IEEE 754.
OPTIONS = ["-std=c++17", "-O3", "-g0", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"]

# By the kinds of compilers that setuptools knows: options for compiling, and for linking. On Windows the C++ library is
# put into ours, since only that of C comes with Python.
COMPILERS = {
    "unix": (OPTIONS, []),
    "mingw32": (OPTIONS, ["-static"]),
    "msvc": (["/std:c++17", "/O2", "/EHsc", "/MT"], []),
}

# Further options of GCC and Clang for each library. Compiled for an earlier version of macOS, C++ aligns no memory to a
# cache line.
GENERATION = ["-fvisibility=hidden", *(["-mmacosx-version-min=10.14"] if sys.platform == "darwin" else [])]
TRAINING = ["-Wno-psabi", "-pthread"]

WITHOUT = {"generation": "NumPy generates text", "training": "MXNet's own operators train"}


class NativeLibrary(Extension):
    """The library that is built from the C++ files in a folder of ``src``."""

    def __init__(self, folder: str, options: list[str], include: list[Path]) -> None:
        super().__init__(
            f"seqlm_core.native.libseqlm_{folder}",
            sources=[str(path) for path in sorted((SOURCES / folder).glob("*.cc"))],
            depends=[str(path) for path in sorted(SOURCES.rglob("*.h"))],
            include_dirs=[str(path) for path in include],
            language="c++",
            optional=True,
        )
        self.folder, self.options = folder, options


class BuildLibraries(build_ext):
    """Builds extensions as plain shared libraries, which any version of Python can load."""

    def get_ext_filename(self, fullname: str) -> str:
        return str(Path(*fullname.split("."))) + LIBRARY_SUFFIX

    def get_export_symbols(self, ext: Extension) -> list[str]:
        return ext.export_symbols

    def get_libraries(self, ext: Extension) -> list[str]:
        return ext.libraries

    def build_extension(self, ext: NativeLibrary) -> None:
        kind = self.compiler.compiler_type
        compiling, linking = COMPILERS.get(kind, COMPILERS["unix"])
        own = [] if kind == "msvc" else ext.options
        ext.extra_compile_args = compiling + own
        ext.extra_link_args = linking + [option for option in own if option == "-pthread"]
        in_turn = self.compiler.compile
        self.compiler.compile = functools.partial(compile_side_by_side, in_turn)
        try:
            super().build_extension(ext)
        except (BaseError, CCompilerError) as error:
            self.warn(f"the native library for {ext.folder} was not built, and {WITHOUT[ext.folder]}: {error}")
        finally:
            self.compiler.compile = in_turn


def compile_side_by_side(in_turn: Callable[..., list[str]], sources: list[str], **options: Any) -> list[str]:
    """Return the object files of sources, each of which is compiled by a call of its own."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return [name for names in threads.map(lambda source: in_turn([source], **options), sources) for name in names]


def folder_of_mxnet() -> Path | None:
    """Return the folder of MXNet's package, which has the sources of its interface for operators of other libraries.

    MXNet is not imported, since that takes seconds and needs system libraries. Where it is not among what the build
    requires, it may be in the environment that seqlm is installed into.
    """
    mxnet = importlib.util.find_spec("mxnet")
    found = mxnet is not None and mxnet.origin is not None
    folder = Path(mxnet.origin).parent if found else Path(sysconfig.get_path("purelib"), "mxnet")
    return folder if (folder / "include" / "mxnet" / "lib_api.h").exists() else None


def libraries() -> list[NativeLibrary]:
    found = [NativeLibrary("generation", GENERATION, [])]
    folder = folder_of_mxnet()
    if folder is not None:
        include = [folder / "src", folder / "include", folder / "include" / "mxnet"]
        found.append(NativeLibrary("training", TRAINING, include))
    return found


if __name__ == "__main__":
    setup(cmdclass={"build_ext": BuildLibraries}, ext_modules=libraries())
