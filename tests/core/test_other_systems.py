"""What Windows lacks has a counterpart; it is simulated here, where its absence cannot be had."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest
from elsewhere import Locks

import seqlm_core as seqlm
from seqlm_core.engine import processes, system
from seqlm_core.engine.memory import give_back_freed_memory
from seqlm_core.evaluation.continuous_cache import check_memory
from seqlm_core.plugins.components import Component, build_tokenizer
from seqlm_core.reading import cutting_processes
from seqlm_core.storage import files, locking, named_locks
from seqlm_core.storage.cache import Cache
from seqlm_core.workers import local_job


@pytest.fixture
def windows(monkeypatch, tmp_path):
    """Be on a system with Windows' locks."""
    locks = Locks("msvcrt")
    monkeypatch.setattr(locking, "fcntl", None)
    monkeypatch.setattr(locking, "msvcrt", locks)
    monkeypatch.setattr(named_locks, "msvcrt", locks)
    monkeypatch.setattr(named_locks.tempfile, "gettempdir", lambda: str(tmp_path))
    for module in (files, processes, local_job):
        monkeypatch.setattr(module, "IS_POSIX", False)


def test_a_directory_is_locked_for_one_process_at_a_time(windows, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    assert not locking.is_locked(run)
    with locking.locked(run):
        assert locking.is_locked(run)
        assert locking.is_locked(tmp_path / "." / "run")
        assert not locking.is_locked(tmp_path)
        with locking.try_lock(run) as got_it:
            assert not got_it
        with pytest.raises(seqlm.RunError, match="another process is training"), locking.locked(run):
            pass
        run.rename(tmp_path / "moved")  # no file within is open
    assert list((tmp_path / "moved").iterdir()) == []
    assert not locking.is_locked(run)
    with locking.try_lock(run) as got_it:
        assert got_it


def test_who_waits_for_a_lock_gets_it_and_learns_that_the_directory_is_gone(windows, tmp_path):
    run, held, waited, found = tmp_path / "run", threading.Event(), threading.Event(), []
    run.mkdir()

    def wait():
        held.wait()
        with locking.wait_for_lock(run, waited.set) as still_there:
            found.append(still_there)

    other = threading.Thread(target=wait)
    other.start()
    with locking.locked(run):
        held.set()
        assert waited.wait(10)
        run.rmdir()
    other.join()
    assert found == [False]


def test_without_any_locks_all_goes_on(windows, tmp_path, monkeypatch):
    monkeypatch.setattr(locking, "msvcrt", None)
    with locking.locked(tmp_path):
        assert not locking.is_locked(tmp_path)
    with locking.wait_for_lock(tmp_path, pytest.fail) as still_there:
        assert still_there


def test_a_cache_is_made_and_found(windows, tmp_path):
    def make(folder):
        (folder / "numbers").write_bytes(b"123")
        return {"what": "numbers"}

    cache = Cache(tmp_path / "cache", 1000)
    assert (cache.find_or_make("key", make).path / "numbers").read_bytes() == b"123"
    assert cache.find_or_make("key", pytest.fail).description == {"what": "numbers"}
    assert cache.clear()
    assert cache.entries() == []


def test_a_file_is_replaced_when_its_readers_have_closed_it(windows, tmp_path, monkeypatch):
    path, refused = tmp_path / "config.json", []
    replace = os.replace

    def busy(source, target):
        if len(refused) < 3:
            refused.append(target)
            raise PermissionError(13, "Access is denied")
        replace(source, target)

    monkeypatch.setattr(files.os, "replace", busy)
    files.write_json(path, {"a": 1})
    assert files.read_json(path) == {"a": 1}
    assert refused == [path] * 3
    refused.clear()
    monkeypatch.setattr(files, "SECONDS_TO_REPLACE", 0.0)
    with pytest.raises(PermissionError, match="Access is denied"):
        files.write_json(path, {"a": 2})
    assert files.read_json(path) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_only_regular_files_are_opened_where_opening_does_not_tell(tmp_path, monkeypatch):
    monkeypatch.delattr(files.os, "O_NOFOLLOW")
    (tmp_path / "file").write_bytes(b"a\r\n\x1ab")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    assert files.read_file(tmp_path / "file") == b"a\r\n\x1ab"
    for name, said in {
        "link": "is a symbolic link",
        "pipe": "is not a regular file",
        "nothing": "is missing",
        ".": "is not a regular file",
    }.items():
        with pytest.raises(seqlm.RunError, match=said):
            files.open_regular(tmp_path / name)


def test_a_file_has_its_own_path_where_open_files_have_none(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"this")
    with files.open_regular(path) as file:
        path.rename(tmp_path / "moved")
        path.write_bytes(b"that")
        with open(files.path_of(file, path), "rb") as again:
            assert again.read() == b"this"
        monkeypatch.setattr(files.os.path, "exists", lambda path: False)
        assert files.path_of(file, path) == str(path)


def test_memory_that_no_system_tells_of_is_no_limit(monkeypatch):
    with pytest.raises(seqlm.SettingError, match="this machine has"):
        check_memory(10**12, 1000, 20)
    monkeypatch.delattr(system.os, "sysconf")
    check_memory(10**12, 1000, 20)

    def refused(name):
        raise TypeError("argument of type 'NoneType' is not iterable")

    monkeypatch.setattr("seqlm_core.engine.memory.ctypes.CDLL", refused)
    give_back_freed_memory()


def test_one_process_cuts_and_trains_where_processes_cannot_end_together(windows, monkeypatch):
    monkeypatch.setattr(cutting_processes, "SMALLEST_TEXT", 0)
    monkeypatch.setattr(cutting_processes, "usable_cores", lambda: 4)
    tokenizer = build_tokenizer(Component.choose(seqlm.installed_plugins().tokenizers, "space", {}))
    for is_posix in (False, True):
        monkeypatch.setattr(processes, "IS_POSIX", is_posix)
        with cutting_processes.cutting_processes(tokenizer, "none", 1 << 30) as cutter:
            assert (cutter is not None) == is_posix
    with pytest.raises(seqlm.SeqlmError, match="train with one process here"):
        local_job.run_local_job(["true"], 2, 0, list)


def test_numbers_that_outgrow_their_type_are_written_anew(tmp_path):
    from seqlm_core.reading.integer_file import IntegerFile, mapped_integers

    path = tmp_path / "numbers"
    numbers = [1, 300, 70_000, 5]
    with IntegerFile(path) as file:
        for number in numbers:
            file.write(np.array([number]), number)
    assert mapped_integers(path, "int32", 4).tolist() == numbers
    assert list(tmp_path.iterdir()) == [path]
