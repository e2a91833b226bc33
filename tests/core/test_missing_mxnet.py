"""Where MXNet is missing, one line says what to do. It is required where pip can install it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from seqlm_core.engine import mxnet as door
from seqlm_core.engine.availability import RELEASE, how_to_install_mxnet

PROJECT = Path(__file__).resolve().parents[2]
HIDDEN = """
import sys

class Hidden:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] == "mxnet":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden)
from seqlm_core.command_line.main import main
main(sys.argv[1:])
"""
PLATFORMS = [
    # sys.platform, platform.system(), platform.machine(), Python, whether pip installs MXNet with seqlm, what is told
    ("linux", "Linux", "x86_64", (3, 9), True, "install it with: pip install mxnet==1.9.1"),
    ("linux", "Linux", "x86_64", (3, 12), True, "install it with: pip install mxnet==1.9.1"),
    ("linux", "Linux", "x86_64", (3, 13), False, "install it with: pip install --no-deps mxnet==1.9.1"),
    ("linux", "Linux", "x86_64", (3, 14), False, "install it with: pip install --no-deps mxnet==1.9.1"),
    ("linux", "Linux", "aarch64", (3, 12), False, "install it with: pip install mxnet==1.9.1"),
    ("linux", "Linux", "riscv64", (3, 12), False, "there is no build of it for Linux on riscv64; train on Linux"),
    ("darwin", "Darwin", "x86_64", (3, 12), True, "install it with: pip install mxnet==1.9.1"),
    ("darwin", "Darwin", "arm64", (3, 12), False, "there is no build of it for Darwin on arm64; train on Linux"),
    ("win32", "Windows", "AMD64", (3, 12), False, "there is no build of it for Windows on AMD64; train on Linux"),
]


@pytest.mark.parametrize(("name", "system", "machine", "version", "required", "told"), PLATFORMS)
def test_each_platform_is_told_how_to_install_mxnet(name, system, machine, version, required, told, monkeypatch):
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("sys.version_info", version)
    assert how_to_install_mxnet().startswith(told)


@pytest.mark.parametrize(("name", "system", "machine", "version", "required", "told"), PLATFORMS)
def test_mxnet_is_required_where_pip_can_install_it(name, system, machine, version, required, told):
    project = (PROJECT / "pyproject.toml").read_text()
    requirements = [Requirement(text) for text in re.findall(r'^    "(mxnet==.*)",$', project, re.MULTILINE)]
    assert [str(requirement).partition(";")[0] for requirement in requirements] == [RELEASE] * 2  # to build, and to run
    number = ".".join(map(str, version))
    here = {"sys_platform": name, "platform_system": system, "platform_machine": machine, "python_version": number}
    assert [requirement.marker.evaluate(here) for requirement in requirements] == [required] * 2


def test_a_training_without_mxnet_is_told_in_one_line(short_text, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", HIDDEN, "train", str(short_text), "--out", "run", "--quiet"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"seqlm: error: this needs MXNet, which is not installed; {how_to_install_mxnet()}\n"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            ModuleNotFoundError("No module named 'requests'", name="requests"),
            "MXNet needs the package requests; install it with: pip install requests",
        ),
        (
            OSError("libquadmath.so.0: cannot open shared object file: No such file or directory"),
            "MXNet needs the system library libquadmath, which is missing; "
            "install it, on Debian and Ubuntu with: apt-get install libquadmath0",
        ),
        (
            OSError("libarmpl_lp64_mp.so: cannot open shared object file: No such file or directory"),
            "MXNet needs the library libarmpl_lp64_mp, which is missing; it belongs to the Arm Performance Libraries, "
            "which have to be installed and found (LD_LIBRARY_PATH)",
        ),
    ],
)
def test_what_mxnet_needs_besides_is_named(error, told):
    assert str(door._loading_error(error)) == told
