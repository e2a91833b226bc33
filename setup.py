"""Builds the two native libraries. Everything else about the package is in pyproject.toml.

They are plain shared libraries, which are loaded at run time. Both are optional: if one cannot be built, for example
because there is no C++ compiler, NumPy generates text and MXNet's own operators train.
"""

from __future__ import annotations

import importlib.util
import sysconfig
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
    """Return the library that is built from the C++ files in a folder of ``src``."""
    # The compiler may fuse products and sums, and mathematical functions need not set errno. Everything else follows
    # IEEE 754.
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


def folder_of_mxnet() -> Path | None:
    """Return the folder of MXNet's package, which has the sources of its interface for operators of other libraries.

    MXNet is not imported, since that takes seconds and needs system libraries. Where the build does not require it, it
    may be in the environment that seqlm is installed into, which pip hides from what is imported during a build.
    """
    mxnet = importlib.util.find_spec("mxnet")
    if mxnet is not None and mxnet.origin is not None:
        return Path(mxnet.origin).parent
    installed = Path(sysconfig.get_path("purelib"), "mxnet")
    return installed if installed.is_dir() else None


def libraries() -> list[Extension]:
    found = [library("generation", [], ["-fvisibility=hidden"])]
    folder = folder_of_mxnet()
    if folder is not None:
        found.append(
            library("training", [folder / "src", folder / "include", folder / "include" / "mxnet"], ["-pthread"])
        )
    return found


setup(cmdclass={"build_ext": BuildLibrary}, ext_modules=libraries())
