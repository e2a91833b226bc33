"""The command in unusual surroundings: interrupted while it is loaded, strict warnings, no docstrings, no room."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SMALL

import seqlm_core as seqlm
from seqlm_core.storage.files import write_atomically
from seqlm_core.training.tasks.language import LanguageModelling

SEQLM = [sys.executable, "-m", "seqlm_core.command_line.main"]
TINY = ["--hidden-size", "8", "--max-steps", "2", "--sequence-length", "10", "--batch-size", "4"]


def run(*arguments, before=(), command=SEQLM, **environment):
    """Run the command; modules in the folders of ``before`` come before all others."""
    path = os.pathsep.join([*map(str, before), *sys.path[1:]])
    return subprocess.run(
        [*command, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=100,
        preexec_fn=hear_interrupts,
    )


def hear_interrupts():
    """As in the foreground of a shell; the tests may be in the background of one."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def interrupted_while_loading(module, folder):
    """Make Ctrl-C arrive while a module is imported."""
    (folder / module).mkdir()
    (folder / module / "__init__.py").write_text(
        "import signal, time\nsignal.raise_signal(signal.SIGINT)\ntime.sleep(60)\n"
    )


@pytest.mark.parametrize("module", ["numpy", "pluggy", "click"])
def test_ctrl_c_while_the_command_is_loaded_ends_it_without_a_word(module, tmp_path):
    interrupted_while_loading(module, tmp_path)
    done = run("--help", before=[tmp_path], command=[Path(sys.executable).with_name("seqlm")])
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")  # 130 to a shell


def test_ctrl_c_while_mxnet_is_loaded_ends_it_without_a_word(short_text, tmp_path):
    interrupted_while_loading("mxnet", tmp_path)
    done = run("train", short_text, *TINY, "--out", tmp_path / "run", before=[tmp_path])
    assert (done.returncode, done.stdout, done.stderr.strip()) == (128 + signal.SIGINT, "", "")


def test_warnings_of_others_are_no_errors_where_a_user_makes_errors_of_warnings(short_text, tmp_path):
    arguments = ["train", short_text, "--tokenizer", "word", *TINY, "--out", tmp_path / "run"]
    done = run(*arguments, PYTHONWARNINGS="error")
    assert done.returncode == 0, done.stderr
    assert "cannot be drawn" not in done.stderr
    assert (tmp_path / "run" / "loss.png").exists()


def test_python_without_docstrings_is_told_where_it_matters(trained, short_text, tmp_path):
    done = run("train", short_text, *TINY, "--out", tmp_path / "run", PYTHONOPTIMIZE="2")
    told = "MXNet cannot be loaded without docstrings; unset PYTHONOPTIMIZE, or start Python without -OO"
    assert (done.returncode, done.stderr) == (1, f"seqlm: error: {told}\n")
    sampled = run("sample", trained(cell="gru").path, "--length", "5", "--seed", "1", PYTHONOPTIMIZE="2")
    assert (sampled.returncode, sampled.stderr) == (0, "")
    assert len(sampled.stdout) == 6


def train(text, out, **changes):
    return seqlm.train(text, out=out, quiet=True, **{**SMALL, "epochs": 1, **changes})


ROOM = "temporary files go to .*: No space left on device; make room there, or name another folder by TMPDIR"


def test_no_room_for_temporary_files_is_told_with_their_folder(short_text, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.TemporaryFile", lambda prefix: Path("/dev/full").open("w+b"))  # noqa: SIM115
    with pytest.raises(seqlm.SeqlmError, match=ROOM):
        train(short_text, tmp_path / "run")


def test_no_room_to_keep_standard_input_or_examples_is_told_likewise(tmp_path, monkeypatch):
    def no_room(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"some text " * 100)))
    monkeypatch.setattr("shutil.copyfileobj", no_room)
    with pytest.raises(seqlm.SeqlmError, match=ROOM):
        train("-", tmp_path / "run")
    monkeypatch.setattr("seqlm_core.sessions.sequence_model.write_examples", no_room)
    with pytest.raises(seqlm.SeqlmError, match=ROOM):
        seqlm.SequenceModel().train([(["a", "b"], ["x", "y"])] * 20, out=tmp_path / "run", quiet=True)


def failing_at(monkeypatch, step, error):
    original = LanguageModelling.loss

    def loss(task, window):
        if window.step == step:
            raise error
        return original(task, window)

    monkeypatch.setattr(LanguageModelling, "loss", loss)


def test_a_file_of_others_is_not_said_to_be_one_that_cannot_be_written(short_text, tmp_path, monkeypatch):
    failing_at(monkeypatch, 3, PermissionError(errno.EACCES, "Permission denied", "/usr/lib/fonts.dat"))
    out = tmp_path / "run"
    with pytest.raises(seqlm.RunError) as caught:
        train(short_text, out, checkpoint_every="1")
    assert str(caught.value) == (
        "/usr/lib/fonts.dat: Permission denied; the last checkpoint is whole: mend this first; go on with: "
        f"seqlm_core.resume({str(out)!r})"
    )


def test_a_checkpoint_is_not_said_to_be_whole_where_there_is_none(short_text, tmp_path, monkeypatch):
    def no_room(path):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("seqlm_core.storage.checkpoint.replacing", no_room)
    out = tmp_path / "run"
    told = r"last\.safetensors cannot be written: No space left on device; nothing of the run was saved$"
    with pytest.raises(seqlm.RunError, match=told):
        train(short_text, out)
    assert not out.exists()


def test_a_file_that_cannot_be_written_is_named_and_not_the_one_beside_it(tmp_path):
    (tmp_path / "loss.png").mkdir()
    with pytest.raises(OSError, match="Is a directory") as caught:
        write_atomically(tmp_path / "loss.png", b"data")
    assert caught.value.filename == str(tmp_path / "loss.png")
    assert [path.name for path in tmp_path.iterdir()] == ["loss.png"]


def test_a_file_on_a_disk_that_has_become_read_only_is_named_too(tmp_path, monkeypatch):
    def read_only(path, *arguments, **options):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "open", read_only)
    monkeypatch.setattr(Path, "unlink", read_only)
    with pytest.raises(OSError, match="Read-only file system") as caught:
        write_atomically(tmp_path / "config.json", b"data")
    assert caught.value.filename == str(tmp_path / "config.json")


def test_a_folder_where_a_file_of_the_run_belongs_is_told_before_the_training(short_text, tmp_path):
    (tmp_path / "run" / "loss.png").mkdir(parents=True)
    with pytest.raises(seqlm.UsageError, match=r"loss\.png is a folder, and a run has a file of that name"):
        train(short_text, tmp_path / "run")
