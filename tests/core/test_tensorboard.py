"""What a training writes for TensorBoard, and that its points are those of its history, also after it was resumed."""

from __future__ import annotations

import errno
import logging
from collections import Counter

import pytest
from conftest import SMALL
from event_files import crc32c, events_in, points_in
from sequence_runs import learnable
from sequence_runs import train as train_tagger

import seqlm_core as seqlm
from seqlm_core.training import event_files

FEW = {
    **SMALL,
    "schedule": "constant",
    "max_steps": 12,
    "log_every": 2,
    "sample_every": 3,
    "validate_every": 5,
    "checkpoint_every": "5",
}


class CrashError(Exception):
    pass


class CrashAt(seqlm.Extension):
    """Ends a training in the middle of a step, as if its process had died."""

    def __init__(self, step):
        self.step = step

    def on_gradients(self, training, batch):
        if training.step == self.step:
            raise CrashError


def train(text, out, folder, **settings):
    return seqlm.train(text, out=out, quiet=True, tensorboard=folder, **{**FEW, **settings})


def crash(text, out, folder, step):
    with pytest.raises(seqlm.PluginError, match="Crash"):
        train(text, out, folder, extensions=[CrashAt(step)])


def comparable(folder):
    """Return the points that have to be the same however often a training was resumed, and how often each is there."""
    return Counter(point for point in points_in(folder) if not point.tag.startswith(("settings", "report/tokens")))


@pytest.fixture(scope="module")
def uninterrupted(short_text, tmp_path_factory):
    folder = tmp_path_factory.mktemp("events")
    run = train(short_text, tmp_path_factory.mktemp("runs") / "run", folder)
    return run, folder


def test_the_check_of_records_is_crc32c():
    assert crc32c(b"123456789") == 0xE3069283  # the check value of the CRC catalogue
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, B.4


def test_the_points_are_the_figures_of_the_history(uninterrupted):
    run, folder = uninterrupted
    points = {(tag, step): value for tag, step, value in points_in(folder)}
    expected = {
        (f"{record['kind']}/{name}", record["step"]): pytest.approx(value, rel=1e-6)
        for record in run.history()
        for name, value in record.items()
        if name.startswith(("training_", "validation_", "learning_rate"))
    }
    assert len(expected) > 20
    speeds = {key: value for key, value in points.items() if key[0] == "report/tokens_per_second"}
    assert [step for _, step in speeds] == [2, 4, 6, 8, 10, 12]
    assert all(value > 0 for value in speeds.values())
    others = {key: value for key, value in points.items() if key not in speeds and "/text_summary" not in key[0]}
    assert others == expected


def test_samples_and_settings_are_texts(uninterrupted):
    _, folder = uninterrupted
    texts = {(tag, step): value for tag, step, value in points_in(folder) if tag.endswith("/text_summary")}
    samples = [step for tag, step in texts if tag.startswith("sample")]
    assert samples == [3, 6, 9]  # at 12 the report of the command has one
    assert all(texts["sample/text_summary", step].startswith("    ") for step in samples)
    assert "| hidden_size | `16` |" in texts["settings/text_summary", 0].splitlines()


def test_a_file_begins_with_its_version_and_steps_never_go_back(uninterrupted):
    _, folder = uninterrupted
    first, *others = events_in(folder)
    assert first.file_version == "brain.Event:2"
    steps = [event.step for event in others]
    assert steps == sorted(steps)


@pytest.mark.parametrize("step", [5, 9, 11])
def test_a_resumed_training_has_the_points_of_one_that_was_not_interrupted(step, uninterrupted, short_text, tmp_path):
    out, folder = tmp_path / "run", tmp_path / "events"
    crash(short_text, out, folder, step)
    seqlm.resume(out, quiet=True)
    assert comparable(folder) == comparable(uninterrupted[1])


def test_a_training_that_is_resumed_twice_has_no_point_twice(uninterrupted, short_text, tmp_path):
    out, folder = tmp_path / "run", tmp_path / "events"
    crash(short_text, out, folder, 9)
    with pytest.raises(seqlm.PluginError, match="Crash"):
        seqlm.resume(out, quiet=True, extensions=[CrashAt(11)])
    seqlm.resume(out, quiet=True)
    assert comparable(folder) == comparable(uninterrupted[1])
    assert [point.step for point in points_in(folder) if point.tag.startswith("settings")] == [0, 5, 10]


def test_the_figures_at_an_end_within_an_epoch_are_not_those_of_a_longer_training(uninterrupted, short_text, tmp_path):
    out, folder = tmp_path / "run", tmp_path / "events"
    train(short_text, out, folder, max_steps=7)
    assert ("epoch/validation_nats_per_token", 7) in {(tag, step) for tag, step, _ in points_in(folder)}
    seqlm.resume(out, quiet=True, max_steps=12)
    assert comparable(folder) == comparable(uninterrupted[1])


def test_a_tensorboard_that_has_read_what_is_removed_is_told_to_forget_it(short_text, tmp_path):
    crash(short_text, tmp_path / "run", tmp_path / "events", 9)
    seqlm.resume(tmp_path / "run", quiet=True)
    (started,) = (event for event in events_in(tmp_path / "events") if event.HasField("session_log"))
    assert (started.session_log.status, started.step) == (started.session_log.START, 6)


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_record_that_was_not_written_to_its_end_is_removed(cut, short_text, tmp_path, uninterrupted):
    out, folder = tmp_path / "run", tmp_path / "events"
    crash(short_text, out, folder, 9)
    (file,) = folder.iterdir()
    file.write_bytes(file.read_bytes()[:-cut])
    seqlm.resume(out, quiet=True)
    assert comparable(folder) == comparable(uninterrupted[1])


def test_resuming_from_another_folder_goes_on_in_the_same_directory(short_text, tmp_path, monkeypatch):
    out = tmp_path / "run"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    train(short_text, out, "events", max_steps=6)
    monkeypatch.chdir(tmp_path / "elsewhere")
    seqlm.resume(out, quiet=True, max_steps=8)
    assert not list((tmp_path / "elsewhere").iterdir())
    assert max(point.step for point in points_in(tmp_path / "events")) == 8


def test_an_empty_text_ends_it_on_resuming(short_text, tmp_path):
    train(short_text, tmp_path / "run", tmp_path / "events", max_steps=6)
    before = points_in(tmp_path / "events")
    seqlm.resume(tmp_path / "run", quiet=True, max_steps=8, tensorboard="")
    assert points_in(tmp_path / "events") == before
    assert not seqlm.LanguageRun(tmp_path / "run").settings.tensorboard


def test_a_run_that_gets_a_directory_later_has_its_earlier_figures_and_samples_there(
    uninterrupted, short_text, tmp_path
):
    out, folder = tmp_path / "run", tmp_path / "events"
    crash(short_text, out, None, 9)
    seqlm.resume(out, quiet=True, tensorboard=folder)
    assert comparable(folder) == comparable(uninterrupted[1])
    times = [event.wall_time for event in events_in(folder) if event.summary.value and event.step]
    assert times == sorted(times)


def test_the_directory_of_another_training_is_refused_and_kept(short_text, tmp_path):
    train(short_text, tmp_path / "one", tmp_path / "events", max_steps=2)
    before = points_in(tmp_path / "events")
    with pytest.raises(seqlm.SettingError, match="holds the events of another training"):
        train(short_text, tmp_path / "other", tmp_path / "events")
    assert points_in(tmp_path / "events") == before
    assert not (tmp_path / "other").exists()


def test_overwriting_a_run_replaces_its_events_and_none_of_other_programs(short_text, tmp_path):
    out, folder = tmp_path / "run", tmp_path / "events"
    train(short_text, out, folder, max_steps=8)
    train(short_text, out, folder, max_steps=4, overwrite=True)
    assert max(point.step for point in points_in(folder)) == 4
    assert len(list(folder.iterdir())) == 1
    (folder / "events.out.tfevents.1.other").write_bytes(b"")
    with pytest.raises(seqlm.SettingError, match="holds the events of another training"):
        train(short_text, out, folder, overwrite=True)
    assert (folder / "events.out.tfevents.1.other").exists()


def test_a_training_that_fails_before_anything_is_saved_leaves_no_events(short_text, tmp_path):
    crash(short_text, tmp_path / "run", tmp_path / "events", 0)
    assert not list((tmp_path / "events").iterdir())
    train(short_text, tmp_path / "run", tmp_path / "events", max_steps=2)


def test_a_tagger_has_its_scores(tmp_path):
    run = train_tagger(learnable(), tmp_path / "run", tensorboard=tmp_path / "events", log_every=2)
    points = {(tag, step): value for tag, step, value in points_in(tmp_path / "events")}
    epochs = [record for record in run.history() if record["kind"] == "epoch"]
    assert len(epochs) == 3
    for record in epochs:
        for name in ("training_nats_per_label", "validation_nats_per_label", "validation_accuracy"):
            assert points[f"epoch/{name}", record["step"]] == pytest.approx(record[name], rel=1e-6)


def test_tensorboardx_that_is_not_installed_is_told_with_what_installs_it(short_text, tmp_path, monkeypatch):
    monkeypatch.setattr(event_files.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(seqlm.SettingError, match=r"needs tensorboardX.*pip install 'seqlm\[tensorboard\]'"):
        train(short_text, tmp_path / "run", tmp_path / "events")
    assert not (tmp_path / "run").exists()


def test_a_directory_that_cannot_be_made_is_told_before_anything_is_done(short_text, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(seqlm.SettingError, match=r"file/events cannot be written to: Not a directory"):
        train(short_text, tmp_path / "run", tmp_path / "file" / "events")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("method", ["write", "flush"])
def test_a_disk_that_gets_full_is_told_once_and_the_training_goes_on(method, short_text, tmp_path, monkeypatch, caplog):
    from tensorboardX import RecordWriter

    original, calls = getattr(RecordWriter, method), []

    def full(writer, *data):
        calls.append(method)
        if len(calls) > 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        return original(writer, *data)

    monkeypatch.setattr(RecordWriter, method, full)
    monkeypatch.setattr("seqlm_core.training.extensions.tensorboard.SECONDS_BETWEEN_FLUSHES", 0)
    with caplog.at_level(logging.WARNING, logger="seqlm"):
        run = train(short_text, tmp_path / "run", tmp_path / "events")
    assert run.history()[-1]["step"] == 12
    (told,) = (record.getMessage() for record in caplog.records)
    assert told.endswith("events: No space left on device; the training goes on")
    assert len(calls) == 6


@pytest.mark.parametrize("method", ["write", "flush"])
def test_a_disk_that_is_full_at_the_start_is_an_error(method, short_text, tmp_path, monkeypatch):
    from tensorboardX import RecordWriter

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(RecordWriter, method, full)
    with pytest.raises(seqlm.SettingError, match="events cannot be written to: No space left on device"):
        train(short_text, tmp_path / "run", tmp_path / "events")
