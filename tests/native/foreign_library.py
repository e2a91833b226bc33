"""The generation library, built for another processor or system and run by an emulator.

An emulator runs whole programs, and no library that Python has loaded. So it runs ``call_library.cc``, which loads the
library, and Python sends it the calls and the arrays that they point to.
"""

from __future__ import annotations

import ctypes
import functools
import runpy
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seqlm_core.native import generation

PROJECT = Path(__file__).resolve().parents[2]
SOURCE = PROJECT / "seqlm_core" / "native" / "src" / "generation" / "generation.cc"
WARNINGS = ["-Wall", "-Wextra", "-Werror"]


class Platform(NamedTuple):
    """How to build for a platform, and how to run what was built.

    Attributes:
        compiler: the command.
        emulator: the command that comes before a program; nothing where this machine can run it.
        kind: the compiler's kind, by which setup.py chooses options.
        options: further ones for compiler and linker.
        suffix: what the library's name ends with.
    """

    compiler: list[str]
    emulator: list[str]
    kind: str = "unix"
    options: Sequence[str] = ()
    suffix: str = ".so"

    @property
    def missing(self) -> str:
        """The first command that is not on this machine, or nothing."""
        commands = [self.compiler[0], *self.emulator[:1]]
        return next((command for command in commands if shutil.which(command) is None), "")


QEMU = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"]
PLATFORMS = {
    "aarch64": Platform(["aarch64-linux-gnu-g++"], QEMU, options=["-fPIC"]),
    "aarch64-clang": Platform(["clang++", "--target=aarch64-linux-gnu"], QEMU, options=["-fPIC"]),
    "clang": Platform(["clang++"], [], options=["-fPIC"]),
    "windows": Platform(["x86_64-w64-mingw32-g++"], ["wine"], "mingw32", suffix=".dll"),
}


def build(platform: Platform, folder: Path) -> list[str]:
    """Build the library, by the options of setup.py, and what calls it. Return the command that serves calls.

    Raises:
        subprocess.CalledProcessError: the compiler failed, or warned.
    """
    setup = runpy.run_path(str(PROJECT / "setup.py"))
    compiling, linking = setup["COMPILERS"][platform.kind]
    library, program = folder / f"library{platform.suffix}", folder / "call_library.exe"
    common = [*platform.compiler, *WARNINGS, *platform.options]
    commands = [
        [*common, *compiling, *setup["GENERATION"], "-shared", str(SOURCE), "-o", str(library), *linking],
        [*common, "-std=c++17", "-O0", str(Path(__file__).with_name("call_library.cc")), "-o", str(program), *linking],
    ]
    running = [subprocess.Popen(command) for command in commands]
    for compiler in running:
        if compiler.wait():
            raise subprocess.CalledProcessError(compiler.returncode, compiler.args)
    return [*platform.emulator, str(program), str(library)]


class ForeignLibrary:
    """What :func:`~seqlm_core.native.generation.generation_library` returns, of a library in another program.

    Functions are given addresses of arrays. An array is looked for among the variables of the function that calls, so
    that its size is known.

    Args:
        command: what :func:`build` returns.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._call(None, "seqlm_interface", ctypes.c_int, [], ()) == generation.INTERFACE

    def __getattr__(self, name: str) -> Any:
        declared = {"seqlm_instruction_set": (ctypes.c_char_p, [ctypes.c_size_t]), **generation._FUNCTIONS}
        result, types = declared[name]

        @functools.wraps(ForeignLibrary._call)
        def call(*arguments: Any) -> Any:
            return self._call(sys._getframe(1), name, result, types, arguments)

        return call

    def close(self) -> None:
        """End the program, which must have come to no harm."""
        self._program.stdin.close()
        self._program.stdout.close()
        assert self._program.wait(timeout=60) == 0

    def _call(self, frame: Any, name: str, result: Any, types: Sequence[Any], arguments: Sequence[Any]) -> Any:
        arrays = {array.ctypes.data: array for array in _arrays(list(frame.f_locals.values()) if frame else [])}
        parts = [_with_length(name.encode()), struct.pack("<q", len(types))]
        for declared, argument in zip(types, arguments):
            parts.append(_packed(declared, argument, arrays))
        try:
            self._program.stdin.write(b"".join(parts))
            self._program.stdin.flush()
            returned = self._read_result(result)
            for _ in range(self._read_number()):
                number = self._read_number()
                written = self._read(self._read_number())
                assert len(written) == arrays[arguments[number]].nbytes
                ctypes.memmove(arguments[number], written, len(written))
        except (BrokenPipeError, EOFError) as error:
            raise AssertionError(f"{name} ended the program with status {self._program.wait()}") from error
        return returned

    def _read(self, size: int) -> bytes:
        found = self._program.stdout.read(size)
        if len(found) != size:
            raise EOFError
        return found

    def _read_number(self) -> int:
        return struct.unpack("<q", self._read(8))[0]

    def _read_result(self, result: Any) -> Any:
        letter = self._read(1)
        if letter == b"0":
            return None
        value = self._read_number()
        if letter == b"b":
            return self._read(value)
        return None if result is ctypes.c_void_p and value == 0 else value


def _arrays(values: Sequence[Any]) -> Iterator[np.ndarray]:
    for value in values:
        if isinstance(value, np.ndarray):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _arrays(value)


def _packed(declared: Any, argument: Any, arrays: dict[int, np.ndarray]) -> bytes:
    """Return an argument as ``call_library.cc`` reads it."""
    if declared is ctypes.c_double:
        return b"d" + struct.pack("<d", argument)
    if declared is ctypes.c_size_t:
        return b"i" + struct.pack("<Q", argument)
    if argument is None:
        return b"0"
    if isinstance(argument, bytes):
        return b"b" + _with_length(argument + b"\0")
    if isinstance(argument, ctypes.Array):
        if argument._type_ is not ctypes.c_void_p:
            return b"b" + _with_length(bytes(argument))
        packed = [_packed(ctypes.c_void_p, address, arrays) for address in argument]
        return b"l" + struct.pack("<q", len(packed)) + b"".join(packed)
    if argument in arrays:
        return b"b" + _with_length(arrays[argument].tobytes())
    return b"i" + struct.pack("<Q", argument)


def _with_length(data: bytes) -> bytes:
    return struct.pack("<q", len(data)) + data
