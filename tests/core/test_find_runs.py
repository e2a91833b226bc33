"""Finding runs: what is told of each, whether it is finished, and damaged ones among them."""

from __future__ import annotations

import datetime
import json
import logging
import os
import random
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import seqlm_core as seqlm
from seqlm_core.storage.files import read_json, write_json
from seqlm_core.storage.locking import is_locked, locked

FORMATS = Path(__file__).parents[1] / "formats" / "runs"
NEWEST = sorted(FORMATS.iterdir())[-1]
HOLDER = """
import fcntl, os, sys
fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def copy(tmp_path):
    """Give the function that copies an interrupted run of a kind, and returns its directory."""

    def copied(kind="words", name="run"):
        shutil.copytree(NEWEST / kind / "run", tmp_path / name)
        return tmp_path / name

    return copied


def only(folder):
    (found,) = seqlm.find_runs(folder)
    return found


def change(run, **settings):
    config = read_json(run / "config.json")
    config["settings"].update(settings)
    write_json(run / "config.json", config)


def best_record(run):
    records = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    return [record for record in records if record.get("best")][-1]


@pytest.mark.parametrize(
    ("kind", "told", "figure"),
    [
        ("characters", ("language model", "lstm", (8,), "1 x 8"), "validation_nats_per_token"),
        ("two-directions", ("language model", "bigru", (8,), "1 x 8"), "validation_nats_per_token"),
        ("lines", ("language model", "gru", (8, 6), "8, 6"), "validation_nats_per_token"),
        ("words", ("language model", "lstm", (8,), "1 x 8"), "training_nats_per_token"),
        ("tagger", ("tagger", "bilstm", (4,), "1 x 4"), "validation_accuracy"),
        ("columns", ("tagger", "bilstm", (4,), "1 x 4"), "validation_chunk_f1"),
        ("forecaster", ("sequence model", "lstm", (8,), "1 x 8"), "validation_normalized_squared_error"),
    ],
)
def test_a_run_is_told_by_what_its_history_and_configuration_say(kind, told, figure, copy):
    run = copy(kind)
    found = only(run)
    assert (found.kind, found.cell, found.hidden_sizes, found.units) == told
    part, _, unit = figure.partition("_")
    assert (found.best, found.unit, found.part) == (best_record(run)[figure], unit.replace("_", " "), part)
    assert (found.state, found.problem, found.path) == ("interrupted", None, run)


def test_a_tagger_that_is_chosen_by_its_loss_is_told_by_it(copy):
    run = copy("tagger")
    change(run, best_by="loss")
    found = only(run)
    assert (found.best, found.unit) == (best_record(run)["validation_nats_per_label"], "nats per label")


@pytest.mark.parametrize("folder", sorted(FORMATS.glob("*/*/run")), ids=lambda path: "-".join(path.parts[-3:-1]))
def test_runs_of_all_versions_are_told_without_reading_weights(folder, monkeypatch):
    monkeypatch.setattr("seqlm_core.storage.checkpoint._array_of", None)
    found = only(folder)
    compressed = folder.parent.name.startswith("compressed")
    assert (found.state, found.problem) == ("compressed" if compressed else "interrupted", None)
    assert found.step >= (best_record(folder)["step"] if compressed else 40)
    assert found.epoch < found.epochs


@pytest.mark.parametrize("folder", sorted(FORMATS.glob("*/tagger")), ids=lambda path: path.parent.name)
def test_a_run_that_has_gone_on_to_its_end_is_finished(folder, tmp_path):
    shutil.copytree(folder / "run", tmp_path / "run")
    seqlm.resume(tmp_path / "run", quiet=True)
    found = only(tmp_path)
    assert (found.state, found.epoch) == ("finished", found.epochs)


@pytest.mark.parametrize(
    "settings",
    [
        {"epochs": 1},
        {"max_steps": 3},
        {"epochs": 9, "patience": 1, "learning_rate": 0.5},  # is stopped early
        {"max_steps": 30, "validate_every": 7},
    ],
    ids=str,
)
def test_finished_means_what_resuming_takes_for_finished(settings, unlearnable, tmp_path, caplog):
    small = {"hidden_size": 8, "batch_size": 4, "sequence_length": 10, "warmup": 0, "schedule": "constant"}
    run = seqlm.train(unlearnable, out=tmp_path / "run", quiet=True, **{**small, **settings})
    found = only(run.path)
    assert (found.state, found.step) == ("finished", run.history()[-1]["step"])
    assert (found.epoch < found.epochs) == ("epochs" not in settings or "patience" in settings)
    with caplog.at_level(logging.INFO, "seqlm"):
        seqlm.resume(run.path, quiet=True)
    assert "the run is finished" in caplog.text
    if "patience" not in settings:
        change(run.path, epochs=30, max_steps=None)
        assert only(run.path).state == "interrupted"


def test_a_run_that_died_before_its_first_checkpoint_can_go_on(copy):
    run = copy()
    for name in ("last.safetensors", "best.safetensors"):
        (run / name).unlink()
    (run / "history.jsonl").write_bytes(b"")
    found = only(run)
    assert (found.state, found.step, found.best) == ("interrupted", 0, None)
    seqlm.resume(run, quiet=True)
    assert only(run).state == "finished"


# Running


def test_a_run_is_running_while_another_process_holds_its_lock_and_lives(copy):
    run = copy()
    command = [sys.executable, "-c", HOLDER, str(run)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "locked\n"
        found = only(run)
        assert (found.state, found.best) == ("running", best_record(run)["training_nats_per_token"])
        process.kill()
    assert only(run).state == "interrupted"


def test_a_run_that_has_just_begun_is_running_though_it_has_no_configuration_yet(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "history.jsonl").touch()
    with locked(run):
        found = only(tmp_path)
        assert (found.state, found.kind, found.problem) == ("running", None, None)
    assert only(tmp_path).state == "damaged"


def test_those_who_look_at_a_lock_do_not_take_each_other_for_trainings(copy, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    run = copy()
    look = os.open(run, os.O_RDONLY)
    fcntl.flock(look, fcntl.LOCK_SH)
    assert not is_locked(run)
    threading.Timer(0.05, os.close, [look]).start()
    with locked(run):  # waits for a moment
        assert is_locked(run)


# Damage


def cut(path):
    path.write_bytes(path.read_bytes()[:-40])


def alter(path):
    path.write_bytes(path.read_bytes().replace(b'"layers": 1', b'"layers": 2'))


def link(path):
    path.rename(path.with_name("moved"))
    path.symlink_to("moved")


def become_a_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("name", "damage", "problem"),
    [
        ("config.json", Path.unlink, "is not a run directory: it has no config.json"),
        ("config.json", cut, "config.json is damaged, or not a file of seqlm"),
        ("config.json", alter, "config.json is damaged or was altered: its digest does not match"),
        ("config.json", link, "config.json is a symbolic link, and a run has none; it is not followed"),
        ("config.json", become_a_folder, "config.json is not a regular file, and a run has no others; it is not read"),
        ("last.safetensors", Path.unlink, "last.safetensors is missing"),
        ("last.safetensors", cut, "last.safetensors is damaged: "),
        ("best.safetensors", cut, "best.safetensors is damaged: "),
    ],
)
def test_a_damaged_run_is_told_with_what_is_wrong_among_the_others(name, damage, problem, copy, tmp_path):
    damaged = copy(name="damaged")
    copy("tagger", name="whole")
    damage(damaged / name)
    found = seqlm.find_runs(tmp_path)
    assert [(run.path.name, run.state) for run in found] == [("damaged", "damaged"), ("whole", "interrupted")]
    assert found[0].problem.startswith(problem)
    assert (found[0].kind == "language model") == (name != "config.json")


def test_a_checkpoint_of_another_run_is_told(copy):
    run, other = copy(name="one"), copy("lines", name="other")
    shutil.copy(other / "last.safetensors", run / "last.safetensors")
    assert only(run).state == "damaged"
    assert only(run).problem == "last.safetensors belongs to another run, or is another file"


def test_no_damage_ends_the_search(copy):
    run, chance = copy("characters"), random.Random(4)
    whole = {name: (run / name).read_bytes() for name in ("config.json", "last.safetensors", "best.safetensors")}
    for _ in range(150):
        name, data = chance.choice(sorted(whole.items()))
        begin = chance.randrange(min(len(data), 3000))
        noise = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 20)))
        (run / name).write_bytes(data[:begin] + noise + data[begin + chance.choice([0, len(noise), len(data)]) :])
        found = only(run)
        assert found.state in ("damaged", "interrupted", "finished")
        assert (found.problem is not None) == (found.state == "damaged")
        (run / name).write_bytes(data)


def test_settings_that_cannot_be_used_are_told(copy):
    run = copy()
    change(run, hidden_size=0)
    assert only(run).state == "damaged"
    assert "hidden_size: must be at least 1, not 0" in only(run).problem


def test_a_run_whose_text_is_gone_is_told_what_it_cannot_go_on_without(short_text, tmp_path):
    text = tmp_path / "text.txt"
    shutil.copy(short_text, text)
    run = seqlm.train(text, out=tmp_path / "run", hidden_size=4, max_steps=1, schedule="constant", quiet=True)
    change(run.path, max_steps=2)
    text.unlink()
    assert (only(run.path).state, only(run.path).problem) == ("interrupted", f"its text {text} is missing")


class Nothing(seqlm.Extension):
    """An extension that does nothing."""


def test_a_run_with_code_of_a_program_needs_python(short_text, tmp_path, copy):
    run = seqlm.train(short_text, out=tmp_path / "own", hidden_size=4, max_steps=1, extensions=[Nothing()], quiet=True)
    assert only(run.path).needs_python
    assert not only(copy()).needs_python


# The search


def test_runs_are_found_in_all_folders_and_sorted_as_people_count(copy, tmp_path):
    for name in ("deep/er/run-10", "deep/er/run-9", "deep/er/run-9/within", "a"):
        copy(name=f"tree/{name}")
    found = [run.path.relative_to(tmp_path / "tree").as_posix() for run in seqlm.find_runs(str(tmp_path / "tree"))]
    assert found == ["a", "deep/er/run-9", "deep/er/run-9/within", "deep/er/run-10"]


def test_links_are_followed_but_not_in_circles_and_a_run_is_found_once(copy, tmp_path):
    run = copy(name="tree/z-run")
    tree = tmp_path / "tree"
    copy(name="elsewhere/other")
    (tree / "a-link").symlink_to(run)
    (tree / "circle").symlink_to(tree)
    (run / "up").symlink_to("..")
    (tree / "self").symlink_to("self")
    (tree / "out").symlink_to(tmp_path / "elsewhere")
    found = [run.path.relative_to(tree).as_posix() for run in seqlm.find_runs(tree)]
    assert found == ["out/other", "z-run"]


def test_what_is_hidden_and_what_other_programs_write_is_left_out(copy, tmp_path):
    copy(name=".hidden/run")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "config.json").write_text('{"model_type": "other"}')
    (tmp_path / "theirs" / "tokenizer.json").write_text("{}")
    assert seqlm.find_runs(tmp_path) == []
    assert [run.path.name for run in seqlm.find_runs(tmp_path / ".hidden")] == ["run"]


def test_a_folder_that_cannot_be_read_is_told_and_the_search_goes_on(copy, tmp_path, monkeypatch, caplog):
    copy()
    (tmp_path / "closed").mkdir()
    scan = os.scandir

    def scandir(path):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert len(seqlm.find_runs(tmp_path)) == 1
    assert f"{tmp_path / 'closed'} cannot be read: Permission denied" in caplog.text


def test_without_a_folder_the_runs_are_those_of_trainings_without_a_place(short_text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert seqlm.find_runs() == []
    run = seqlm.train(short_text, hidden_size=4, max_steps=1, quiet=True)
    assert [found.path for found in seqlm.find_runs()] == [run.path]


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for name in ("nowhere", "file"):
        with pytest.raises(seqlm.UsageError, match=f"{name} is not a folder"):
            seqlm.find_runs(tmp_path / name)


def test_the_last_change_is_that_of_the_files(copy):
    run = copy()
    for path in [run, *run.iterdir()]:
        os.utime(path, (1e9, 1e9))
    os.utime(run / "history.jsonl", (1e9 + 60, 1e9 + 60))
    assert only(run).changed == datetime.datetime(2001, 9, 9, 1, 47, 40, tzinfo=datetime.timezone.utc)


def test_a_run_that_was_being_replaced_when_its_process_died_is_found(copy):
    run, new = copy(), copy("lines", name="new")
    new.rename(run / ".new-run-decided")
    assert (only(run).cell, only(run).state) == ("gru", "interrupted")
