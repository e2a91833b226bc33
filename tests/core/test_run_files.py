"""Only regular files of a run are read: what else lies in their place is refused at once."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat

import pytest

import seqlm_core as seqlm
from seqlm_core.runs.opening import open_run
from seqlm_core.storage import files

SECONDS = 20  # the slowest of what is waited for takes half a second


def put_socket(path):
    with socket.socket(socket.AF_UNIX) as made:
        here = os.getcwd()
        os.chdir(path.parent)  # a socket's path may have some hundred characters only
        try:
            made.bind(path.name)
        finally:
            os.chdir(here)


def put_device(path):
    """Make another /dev/zero, which never ends."""
    try:
        os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))
        path.open("rb").close()
    except PermissionError:
        pytest.skip("devices can be made by root alone")


PUT = {"fifo": os.mkfifo, "directory": os.mkdir, "socket": put_socket, "device": put_device}
TEXT_FILES = ("config.json", "vocabulary.json", "tokenizer.json", "best.safetensors", "last.safetensors")
LABEL_FILES = ("config.json", "encoders.json", "training-examples.jsonl", "validation-examples.jsonl")
CASES = [(kind, name) for kind, names in (("text", TEXT_FILES), ("labels", LABEL_FILES)) for name in names]
CASES += [("text", "history.jsonl"), ("labels", "history.jsonl")]


@pytest.fixture(scope="module")
def runs(trained, short_text, tmp_path_factory):
    words = [line.split() for line in short_text.read_text()[:2000].splitlines() if line]
    examples = [(line, [word[-1] for word in line]) for line in words]
    out = tmp_path_factory.mktemp("labels") / "run"
    model = seqlm.SequenceModel(cell="gru", hidden_size=8, epochs=1, char_cell="gru", char_hidden_size=4)
    return {"text": trained(cell="gru"), "labels": model.train(examples, examples[:1], out=out, quiet=True)}


@pytest.fixture
def soon():
    """Fail, not wait for ever."""

    def too_late(number, frame):
        raise TimeoutError(f"nothing happened for {SECONDS} s")

    before = signal.signal(signal.SIGALRM, too_late)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def use(path):
    run = open_run(path)
    _ = run.sample(length=2) if isinstance(run, seqlm.LanguageRun) else run.predict([["the", "king"]])
    run.history()
    seqlm.resume(path, quiet=True)


@pytest.mark.parametrize("thing", PUT)
@pytest.mark.parametrize(("kind", "name"), CASES)
def test_what_is_not_a_regular_file_is_refused_at_once(kind, name, thing, runs, tmp_path, soon):
    run = tmp_path / "run"
    shutil.copytree(runs[kind].path, run)
    (run / name).unlink(missing_ok=True)
    PUT[thing](run / name)
    with pytest.raises(seqlm.RunError, match=rf"{name} is not a regular file") as told:
        use(run)
    assert len(str(told.value).splitlines()) == 1


def test_a_file_is_judged_by_what_was_opened(tmp_path, monkeypatch, soon):
    """Whatever is put in the place of a file after a look at it."""
    path = tmp_path / "config.json"
    path.write_text("{}")
    original = os.open

    def exchange(name, flags, *rest, **others):
        if name == path:
            path.unlink()
            os.mkfifo(path)
        return original(name, flags, *rest, **others)

    monkeypatch.setattr(os, "open", exchange)
    with pytest.raises(seqlm.RunError, match="is not a regular file"):
        files.read_json(path)


def test_a_file_larger_than_any_of_a_run_is_not_read_into_memory(runs, tmp_path, soon):
    run = tmp_path / "run"
    for name in ("config.json", "vocabulary.json", "history.jsonl"):
        shutil.copytree(runs["text"].path, run)
        with (run / name).open("r+b") as file:
            file.truncate(1 << 40)  # with a hole: it takes no room
        with pytest.raises(seqlm.RunError, match=rf"{name} has 1,099,511,627,776 bytes"):
            use(run)
        shutil.rmtree(run)
