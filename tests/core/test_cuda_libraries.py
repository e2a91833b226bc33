"""CUDA's libraries: which build of MXNet is installed, where they come from, and what is told if one is missing."""

from __future__ import annotations

import re
import shutil
from importlib.machinery import ModuleSpec
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from seqlm_core.engine import cuda
from seqlm_core.errors import SeqlmError
from seqlm_core.native.library import library_path

NOT_THERE = "{}: cannot open shared object file: No such file or directory"


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Give a folder of installed packages, MXNet for CUDA 11.7 and two of NVIDIA's; all are empty."""
    (tmp_path / "mxnet").mkdir()
    (tmp_path / "mxnet_cu117-1.9.1.dist-info").mkdir()
    for folder in ("cuda_runtime", "nccl"):
        (tmp_path / "nvidia" / folder / "lib").mkdir(parents=True)

    def found(name):
        spec = ModuleSpec(name, None, origin=str(tmp_path / name / "__init__.py"), is_package=True)
        spec.submodule_search_locations.append(str(tmp_path / name))
        return spec if (tmp_path / name).exists() else None

    monkeypatch.setattr(cuda, "find_spec", found)
    return tmp_path


def mapped_files():
    """Return the files that are in the memory of this process."""
    return {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines()}


def test_the_build_for_processors_is_no_build_of_cuda(packages):
    (packages / "mxnet_cu117-1.9.1.dist-info").rename(packages / "mxnet-1.9.1.dist-info")
    assert cuda.installed_wheel() is None


def test_libraries_come_from_nvidias_packages_if_mxnet_needs_them(generation_library, packages):
    library = packages / "nvidia" / "cuda_runtime" / "lib" / "libcudart.so.11.0"
    shutil.copy(library_path("generation"), library)  # any library that can be loaded
    described = packages / "mxnet_cu117-1.9.1.dist-info"
    described.rename(packages / "other")
    cuda.load_libraries()
    assert str(library) not in mapped_files()
    (packages / "other").rename(described)
    cuda.load_libraries()
    assert str(library) in mapped_files()


def test_all_that_is_missing_is_named_at_once(packages, monkeypatch):
    there = {"libcudart.so.11.0", "libcublas.so.11"}
    monkeypatch.setattr(cuda, "_can_be_loaded", lambda file: file in there)
    told = cuda.missing_library(NOT_THERE.format("libcudnn.so.8"))
    assert told.startswith("this MXNet (mxnet-cu117) needs libcudnn.so.8 of CUDA, which is missing")
    assert told.endswith(
        "pip install nvidia-cuda-nvrtc-cu11 nvidia-nvtx-cu11 nvidia-cufft-cu11 nvidia-curand-cu11 nvidia-cusparse-cu11 "
        "nvidia-cusolver-cu11 'nvidia-cudnn-cu11<9' nvidia-nccl-cu11"
    )


def test_a_missing_driver_is_told_with_both_ways_out(packages):
    told = cuda.missing_library(NOT_THERE.format("libcuda.so.1"))
    assert "driver" in told
    assert told.endswith("pip uninstall -y mxnet mxnet-cu117 && pip install mxnet==1.9.1")


@pytest.mark.parametrize("message", [NOT_THERE.format("libgomp.so.1"), "undefined symbol: cudaMalloc"])
def test_other_errors_are_left_to_others(packages, message):
    assert cuda.missing_library(message) is None


def test_a_missing_library_of_cuda_is_what_users_read(packages):
    from seqlm_core.engine.mxnet import _loading_error

    error = _loading_error(OSError(NOT_THERE.format("libcuda.so.1")))
    assert isinstance(error, SeqlmError)
    assert "libcuda.so.1" in str(error)


def test_the_page_and_the_package_for_gpus_name_all_libraries():
    project = Path(__file__).resolve().parents[2]
    page = (project / "docs" / "gpu.md").read_text()
    described = re.findall(r"^\| `(lib\S+)` \| `(nvidia-\S+)`", page, re.MULTILINE)
    known = [(library.file, library.package.partition("<")[0]) for library in cuda.LIBRARIES]
    assert sorted(described) == sorted(known)
    package = (project / "docs" / "examples" / "mxnet-cuda" / "pyproject.toml").read_text()
    asked = re.findall(r'^    "(\S+)",$', package, re.MULTILINE)
    assert asked == [f"{cuda.WHEEL}==1.9.1", *(library.package for library in cuda.LIBRARIES)]


def test_the_package_for_gpus_is_the_mxnet_that_seqlm_asks_for():
    project = Path(__file__).resolve().parents[2]
    package = (project / "docs" / "examples" / "mxnet-cuda" / "pyproject.toml").read_text()
    (version,) = re.findall(r'^version = "(.*)"$', package, re.MULTILINE)
    wanted = [asked for asked in map(Requirement, requires("seqlm") or []) if asked.name == "mxnet"]
    assert re.search(r'^name = "mxnet"$', package, re.MULTILINE)
    assert wanted
    assert all(asked.specifier.contains(version) for asked in wanted)
