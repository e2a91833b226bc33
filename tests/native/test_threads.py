"""Threads: as many as there are cores, as few as the system allows, and the same results whoever computes them."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from test_native_training import NATIVE, TRAINING, Case, losses_of, needs_library

import seqlm_core as seqlm
from seqlm_core.engine.threads import MXNETS_OWN, settle_threads, startable_threads, usable_cores
from seqlm_core.errors import SeqlmError
from seqlm_core.native import GATES
from seqlm_core.native import training as native
from seqlm_core.storage.checkpoint import load_checkpoint

SMALL = ["--hidden-size", "100", "--max-steps", "3", "--sample-every", "0", "--log-every", "1"]


# Of programs that are run: what is installed is used, not what lies in the current folder, which may not be built.
ELSEWHERE = Path(__file__).parent


def run_seqlm(*arguments, timeout=60, **environment):
    return subprocess.run(
        [sys.executable, "-m", "seqlm_core.command_line.main", *map(str, arguments)],
        cwd=ELSEWHERE,
        env={**os.environ, **{name: str(value) for name, value in environment.items()}},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


# As many as there are cores


@pytest.mark.parametrize("given", ["100000", "9" * 30])
def test_more_threads_than_cores_are_capped_with_a_notice(given, monkeypatch, caplog):
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    settle_threads()
    assert os.environ["OMP_NUM_THREADS"] == str(usable_cores())
    assert f"OMP_NUM_THREADS is {given}; there are {usable_cores()} usable cores" in caplog.text


def test_as_many_threads_as_cores_are_taken_by_itself(monkeypatch, caplog):
    monkeypatch.delenv("OMP_NUM_THREADS")
    settle_threads()
    assert os.environ["OMP_NUM_THREADS"] == str(usable_cores())
    assert not caplog.text


@pytest.mark.parametrize("given", ["0", "-1", "many", "", "1.5", "2,2"])
def test_what_is_no_number_of_threads_is_an_error(given, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    with pytest.raises(SeqlmError, match="must be a number of threads"):
        settle_threads()


def test_a_training_with_far_too_many_threads_is_only_told_of_it(short_text, tmp_path):
    done = run_seqlm("train", short_text, "--out", tmp_path / "run", *SMALL, OMP_NUM_THREADS=100_000)
    assert done.returncode == 0, done.stderr
    assert "usable cores" in done.stderr


# As few as the system allows


def failing_after(count, monkeypatch):
    """Let this thread start so many others from now on."""
    start, left, ours = threading.Thread.start, [count], threading.current_thread()

    def start_or_fail(thread):
        if threading.current_thread() is not ours:
            return start(thread)
        if left[0] == 0:
            raise RuntimeError("can't start new thread")
        left[0] -= 1
        return start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_or_fail)


@pytest.mark.parametrize("count", [0, 1, 4, 7])
def test_threads_are_counted_that_can_be_started(count, monkeypatch):
    before = threading.active_count()
    failing_after(count, monkeypatch)
    assert startable_threads(5) == min(count, 5)
    assert threading.active_count() == before


def test_too_few_threads_for_mxnet_are_an_error_that_says_so(monkeypatch):
    failing_after(MXNETS_OWN - 1, monkeypatch)
    with pytest.raises(SeqlmError, match=r"MXNet needs 5 more threads.* 4; see ulimit -u"):
        settle_threads()


def test_one_thread_computes_where_there_are_few(monkeypatch, caplog):
    monkeypatch.setattr("seqlm_core.engine.threads.usable_cores", lambda: 4)
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    failing_after(MXNETS_OWN + 2, monkeypatch)
    settle_threads()
    assert os.environ["OMP_NUM_THREADS"] == "1"
    assert "so one thread computes" in caplog.text


def test_a_training_without_a_thread_that_makes_batches_is_the_same(short_text, tmp_path, monkeypatch):
    usual = seqlm.train(short_text, out=tmp_path / "usual", **TRAINING)
    failing_after(0, monkeypatch)
    alone = seqlm.train(short_text, out=tmp_path / "alone", **TRAINING)
    assert losses_of(usual) == losses_of(alone)


@pytest.fixture(scope="module")
def few_threads(tmp_path_factory):
    """A library that lets a process have few threads."""
    compiler = shutil.which("gcc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs gcc on Linux")
    library = tmp_path_factory.mktemp("few") / "few_threads.so"
    source = Path(__file__).with_name("few_threads.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    return library


@needs_library
def test_a_team_that_gets_no_threads_computes_without_them(few_threads):
    code = f"""
import hashlib, os, sys
sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[1])]!r}
import threading
from test_native_training import NATIVE, Case
from seqlm_core.native import training as native
native.LEAST_MULTIPLICATIONS, native.usable_cores = 1, lambda: 4
os.environ["OMP_NUM_THREADS"] = "4"
with native.chosen_backend(NATIVE[-1]):
    native._use(NATIVE[-1])
    for _ in range(8):
        found = Case(1, 'lstm', 33, 7, 6, 9).by_layer()
print(hashlib.sha256(b"".join(values.tobytes() for values in found.values())).hexdigest())
"""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    printed = set()
    for most in ("5", "6", "100"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ELSEWHERE,
            env={**environment, "LD_PRELOAD": few_threads, "MOST_THREADS": most},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        printed.add(done.stdout)
    assert len(printed) == 1


@pytest.mark.parametrize("most", [2, 5, 7])
def test_where_few_threads_can_be_had_a_training_works_or_says_what_is_missing(most, few_threads, short_text, tmp_path):
    done = run_seqlm(
        "train", short_text, "--out", tmp_path / "run", *SMALL,
        LD_PRELOAD=few_threads, MOST_THREADS=most, OMP_NUM_THREADS=2, OPENBLAS_NUM_THREADS=1,
    )  # fmt: skip
    if most >= MXNETS_OWN:
        assert done.returncode == 0, done.stderr
        return
    assert done.returncode == 1
    *before, line = done.stderr.splitlines()
    assert line.startswith("seqlm: error: MXNet needs 5 more threads")
    assert all(one.startswith("seqlm: warning: OMP_NUM_THREADS is 2") for one in before)  # where there is one core


# The same results whoever computes them


@needs_library
@pytest.mark.parametrize("members", [1, 3, 4])
@pytest.mark.parametrize("cell", sorted(GATES))
def test_the_results_depend_on_how_the_work_is_divided_and_not_on_who_does_it(cell, members):
    found = []
    # The environment is as it was again before the kernels are configured for what comes after.
    with native.chosen_backend(NATIVE[-1]), pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "LEAST_MULTIPLICATIONS", 1)
        for threads in (1, 2, 4):
            patch.setattr(native, "usable_cores", lambda threads=threads: threads)
            patch.setenv("OMP_NUM_THREADS", str(threads))
            with native.chosen_backend(NATIVE[-1], members):
                for sizes in ((40, 9, 12, 26), (100, 9, 6, 4)):
                    found.append(Case(3, cell, *sizes).by_layer())
    for k, values in enumerate(found[2:]):
        for name, array in values.items():
            np.testing.assert_array_equal(array, found[k % 2][name], err_msg=name)


@needs_library
def test_a_run_goes_on_with_fewer_threads_the_same_to_the_bit(short_text, tmp_path):
    options = [*SMALL, "--batch-size", "16", "--sequence-length", "40", "--schedule", "constant"]
    begin = {"OMP_NUM_THREADS": 2}
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run_seqlm("train", short_text, "--out", whole, *options, "--max-steps", 8, **begin).returncode == 0
    assert run_seqlm("train", short_text, "--out", parts, *options, **begin).returncode == 0
    done = run_seqlm("train", "--resume", parts, "--max-steps", 8, OMP_NUM_THREADS=1)
    assert done.returncode == 0, done.stderr
    if usable_cores() > 1:
        assert "begun with OMP_NUM_THREADS=2 and goes on with 1, which divide the work in the same way" in done.stderr
    found, expected = (load_checkpoint(path / "last.safetensors")[0] for path in (parts, whole))
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.mark.parametrize("recorded", ["100000", "64"])
def test_a_run_that_records_too_many_threads_goes_on(recorded, short_text, tmp_path, caplog):
    run = seqlm.train(short_text, out=tmp_path / "run", schedule="constant", **TRAINING)
    config = run.directory.read_config()
    config["threads"] = recorded
    run.directory.write_config(config)
    with caplog.at_level(logging.INFO, "seqlm"):
        seqlm.resume(run.path, max_steps=14, quiet=True)
    assert f"begun with OMP_NUM_THREADS={recorded}" in caplog.text


@pytest.mark.parametrize("recorded", ["many", "-1", "", "0", "9" * 30])
def test_a_run_that_records_no_number_of_threads_is_refused(recorded, short_text, tmp_path):
    run = seqlm.train(short_text, out=tmp_path / "run", schedule="constant", **{**TRAINING, "max_steps": 1})
    config = run.directory.read_config()
    config["threads"] = recorded
    run.directory.write_config(config)
    with pytest.raises(seqlm.SeqlmError, match="threads"):
        seqlm.resume(run.path, max_steps=2, quiet=True)
