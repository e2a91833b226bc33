"""Builds the native libraries; all else is in pyproject.toml.

They are plain shared libraries, loaded at run time, and both are optional: where they cannot be built, as without a C++
compiler, NumPy generates text and MXNet's own operators train.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SOURCES = Path("seqlm_core", "native", "src")


class BuildLibrary(build_ext):
    """Builds extensions as plain shared libraries, which any version of Python can load."""

    def get_ext_filename(self, fullname: str) -> str:
        return str(Path(*fullname.split("."))) + ".so"

    def get_export_symbols(self, ext: Extension) -> list[str]:
        return ext.export_symbols


def library(folder: str, include: list[Path], options: list[str]) -> Extension:
    """Return the library made of the C++ files in a folder of ``src``."""
    # Products and sums may be fused, and no mathematical function need set errno; the rest is as IEEE 754 has it.
    flags = ["-std=c++17", "-O3", "-g0", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-Wno-psabi"]
    return Extension(
        f"seqlm_core.native.libseqlm_{folder}",
        sources=[str(path) for path in sorted((SOURCES / folder).glob("*.cc"))],
        depends=[str(path) for path in sorted(SOURCES.rglob("*.h"))],
        include_dirs=[str(path) for path in include],
        language="c++",
        extra_compile_args=flags + options,
        extra_link_args=[option for option in options if option == "-pthread"],
        optional=True,
    )


def libraries() -> list[Extension]:
    found = [library("generation", [], ["-fvisibility=hidden"])]
    # MXNet's package brings the sources of its interface for operators of others. It is not imported, since that takes
    # seconds and system libraries.
    mxnet = importlib.util.find_spec("mxnet")
    if mxnet is not None and mxnet.origin is not None:
        folder = Path(mxnet.origin).parent
        found.append(
            library("training", [folder / "src", folder / "include", folder / "include" / "mxnet"], ["-pthread"])
        )
    return found


setup(cmdclass={"build_ext": BuildLibrary}, ext_modules=libraries())
