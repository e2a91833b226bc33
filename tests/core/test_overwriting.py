"""Replacing a run: the old one is there, whole, until the new one has a checkpoint after its first step."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from pathlib import Path

import pytest
from conftest import SMALL

import seqlm_core as seqlm
from seqlm_core.runs import replacement
from seqlm_core.runs.directory import RunDirectory
from seqlm_core.runs.new_run import check_destination
from seqlm_core.storage.files import replacing
from seqlm_core.training.tasks.language import LanguageModelling

HOLDS_ANOTHER = r"^`out` .* holds another run, which `overwrite` would replace; go on with: seqlm_core\.resume\('.*'\)$"


def train(text, out, **changes):
    return seqlm.train(text, out=out, quiet=True, **{**SMALL, "epochs": 1, **changes})


def tree(path):
    return {str(p.relative_to(path)): p.read_bytes() if p.is_file() else None for p in sorted(path.rglob("*"))}


@pytest.fixture
def old(trained, tmp_path):
    """A run with another file, which is nobody's business, beside its own."""
    shutil.copytree(trained(cell="gru").path, tmp_path / "run")
    (tmp_path / "run" / "notes.txt").write_text("mine")
    return tmp_path / "run"


def at_step(monkeypatch, steps):
    """Call a function when the loss of a step is computed; what it returns multiplies the loss."""
    original = LanguageModelling.loss

    def loss(task, window):
        factor = steps[window.step]() if window.step in steps else None
        return original(task, window) * (1 if factor is None else factor)

    monkeypatch.setattr(LanguageModelling, "loss", loss)


def test_a_reader_has_the_old_run_until_the_new_one_has_a_checkpoint(old, short_text, monkeypatch):
    before, sample = tree(old), seqlm.LanguageRun(old).sample(length=20, seed=1)
    seen = {}

    def look():
        run = seqlm.LanguageRun(old)
        there = {name: data for name, data in tree(old).items() if not name.startswith(".new-run")}
        seen[len(seen)] = run.settings.seed, there == before, run.sample(length=20, seed=1) == sample

    at_step(monkeypatch, {0: look, 9: look, 10: look})
    run = train(short_text, old, overwrite=True, cell="gru", seed=2, checkpoint_every="10")
    assert seen == {0: (1, True, True), 1: (1, True, True), 2: (2, False, False)}
    assert run.settings.seed == 2
    assert run.history()[-1]["epoch"] == 1
    assert set(tree(old)) == set(before)
    assert (old / "notes.txt").read_text() == "mine"


def nothing_can_be_written(path, *data):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def interrupt_twice():
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)


def fail():
    raise RuntimeError("the plugin's fault")


@pytest.mark.parametrize("fault", ["not finite", "plugin", "interrupted", "disk full", "disk full at first"])
def test_a_training_that_fails_before_its_first_checkpoint_leaves_the_old_run_and_nothing_else(
    fault, old, short_text, monkeypatch
):
    before = tree(old)
    errors = {"plugin": RuntimeError, "interrupted": KeyboardInterrupt}
    steps = {"not finite": {1: lambda: float("nan")}, "plugin": {1: fail}, "interrupted": {1: interrupt_twice}}
    at_step(monkeypatch, steps.get(fault, {}))
    if fault == "disk full":

        def save(path):
            return nothing_can_be_written(path) if path.name == "best.safetensors" else replacing(path)

        monkeypatch.setattr("seqlm_core.storage.checkpoint.replacing", save)
    elif fault == "disk full at first":
        monkeypatch.setattr("seqlm_core.storage.files.write_atomically", nothing_can_be_written)
    with pytest.raises(errors.get(fault, (seqlm.SeqlmError, OSError))) as caught:
        train(short_text, old, overwrite=True, seed=2)
    if fault == "disk full":
        assert str(caught.value).endswith(f"No space left on device; the run in {old} is as it was")
    assert tree(old) == before


def test_ctrl_c_saves_the_new_run_which_then_has_the_place(old, short_text, monkeypatch):
    at_step(monkeypatch, {4: lambda: signal.raise_signal(signal.SIGINT)})
    with pytest.raises(seqlm.TrainingInterrupted, match="interrupted at step 5 and saved") as caught:
        train(short_text, old, overwrite=True, seed=2)
    assert caught.value.resumable == old
    assert not list(old.glob(".*"))
    assert seqlm.LanguageRun(old).settings.seed == 2
    assert seqlm.resume(old, quiet=True).history()[-1]["epoch"] == 1


def leave_a_dead_training(run):
    """What a process that was killed before its first checkpoint leaves, and one that was killed while it saved."""
    (run / ".new-run").mkdir()
    (run / ".new-run" / "config.json").write_text("{}")
    (run / ".new-run" / ".last.safetensors.01234567").write_bytes(b"half of a file")
    (run / ".last.safetensors.89abcdef").write_bytes(b"half of a file")


def test_what_a_killed_training_left_is_removed_by_the_next_owner_of_the_run(old, short_text):
    before = tree(old)
    leave_a_dead_training(old)
    assert len(seqlm.LanguageRun(old).sample(length=5)) == 5
    seqlm.resume(old, quiet=True)
    assert tree(old) == before
    leave_a_dead_training(old)
    train(short_text, old, overwrite=True, max_steps=2)
    assert set(tree(old)) == set(before)


class Died(BaseException):
    """The process is killed here."""


def die_before(monkeypatch, call):
    """Make the process die before the call of this number, from 1 on, by which a replacement changes the directory."""
    done = 0

    def counted(function):
        def called(*arguments, **options):
            nonlocal done
            done += 1
            if done == call:
                raise Died
            return function(*arguments, **options)

        return called

    for module, name in [(os, "rename"), (os, "replace"), (Path, "unlink"), (shutil, "rmtree")]:
        monkeypatch.setattr(module, name, counted(getattr(module, name)))


def test_a_death_at_any_moment_of_a_replacement_leaves_one_whole_run(trained, tmp_path, monkeypatch):
    old, new = trained(cell="gru").path, trained(cell="lstm").path
    theirs = {"notes.txt": b"mine"}
    whole = {"old": {**tree(old), **theirs, "standard-input.txt": b"a text"}, "new": {**tree(new), **theirs}}
    found = []
    while True:
        run = tmp_path / str(len(found)) / "run"
        shutil.copytree(old, run)
        (run / "notes.txt").write_bytes(b"mine")
        (run / "standard-input.txt").write_bytes(b"a text")
        shutil.copytree(new, run / ".new-run")
        with monkeypatch.context() as patch:
            die_before(patch, len(found) + 1)
            try:
                RunDirectory(run / ".new-run", replaces=run).mark_step_saved()
            except Died:
                died = True
            else:
                died = False
        with pytest.raises(seqlm.UsageError, match=HOLDS_ANOTHER):
            check_destination(run, overwrite=False)
        opened = seqlm.LanguageRun(run)
        found.append({"gru": "old", "lstm": "new"}[opened.settings.cell])
        assert len(opened.sample(length=3)) == 3
        opened.directory.remove_leftovers()
        assert tree(run) == whole[found[-1]]
        if not died:
            break
    # One rename decides it. Then 7 files go, the folder is renamed, 6 files move up, and the folder goes.
    assert found == ["old"] + ["new"] * 16


def test_a_replacement_that_cannot_be_finished_is_told(trained, tmp_path, monkeypatch):
    run = tmp_path / "run"
    shutil.copytree(trained(cell="gru").path, run / ".new-run-decided")

    def refuse(*arguments):
        raise PermissionError(errno.EACCES, "Permission denied", str(arguments[0]))

    monkeypatch.setattr("os.rename", refuse)
    with pytest.raises(seqlm.RunError, match=r"was being replaced .* cannot be finished: .*: Permission denied"):
        seqlm.LanguageRun(run)


def test_links_to_folders_are_not_taken_for_a_replacement(trained, tmp_path):
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    shutil.copytree(trained(cell="gru").path, run)
    shutil.copytree(trained(cell="lstm").path, elsewhere)
    before = tree(elsewhere)
    for name in replacement.FOLDERS:
        (run / name).symlink_to(elsewhere)
    assert seqlm.LanguageRun(run).settings.cell == "gru"
    assert tree(elsewhere) == before


def test_a_folder_in_the_place_of_a_file_of_the_run_is_told_before_anything_is_lost(old, short_text):
    (old / "loss.png").unlink()
    (old / "loss.png").mkdir()
    before = tree(old)
    with pytest.raises(seqlm.UsageError, match=r"loss\.png is a folder, and a run has a file of that name"):
        train(short_text, old, overwrite=True)
    assert tree(old) == before
