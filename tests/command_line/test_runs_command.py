"""``seqlm runs``: a table of runs, and a line of JSON for each."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from tagger_commands import done, run_cli

import seqlm_core as seqlm
from seqlm_core.runs.summary import RunSummary

FORMATS = Path(__file__).parents[1] / "formats" / "runs"
NEWEST = sorted(FORMATS.iterdir())[-1]


@pytest.fixture
def runs(tmp_path, monkeypatch, trained):
    """The current folder, with a finished run, an interrupted one, a tagger and a damaged one in a folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained().path, "runs/finished")
    shutil.copytree(NEWEST / "words" / "run", "runs/it's a long name")
    shutil.copytree(NEWEST / "tagger" / "run", "runs/tagger")
    shutil.copytree(NEWEST / "lines" / "run", "runs/damaged")
    (tmp_path / "runs/damaged/last.safetensors").unlink()
    return tmp_path / "runs"


def test_the_columns_of_the_table_are_aligned_and_say_what_there_is(capsys, runs):
    out, err = done(capsys, "runs", "runs")
    header, *rows = out.splitlines()
    names = header.split()
    assert (err, names) == ("", ["RUN", "KIND", "CELL", "UNITS", "BEST", "CHANGED", "STATE", "NOTE"])
    begins = [header.index(name) for name in names]
    table = [[row[begin:end].rstrip() for begin, end in zip(begins, [*begins[1:], None])] for row in rows]
    assert all(row[begin - 2 : begin] == "  " for row in rows for begin in begins[1:] if len(row) > begin)
    found = {row[0]: row[1:] for row in table}
    assert list(found) == ["runs/damaged", "runs/finished", "runs/it's a long name", "runs/tagger"]
    best = [record for record in seqlm.LanguageRun("runs/finished").history() if record.get("best")][-1]
    figure = f"{best['validation_nats_per_token']:.4f} nats per token"
    assert found["runs/finished"][:4] == ["language model", "lstm", "1 x 16", figure]
    assert found["runs/finished"][5:] == ["finished", ""]
    assert found["runs/it's a long name"][3].endswith(" nats per token (training)")
    assert found["runs/it's a long name"][5:] == ["interrupted", "seqlm train --resume 'runs/it'\"'\"'s a long name'"]
    assert found["runs/tagger"][:1] + found["runs/tagger"][3:4] == ["tagger", "0.7500 accuracy"]
    assert found["runs/tagger"][6] == "seqlm tag train --resume runs/tagger"
    assert found["runs/damaged"][5:] == ["damaged", "last.safetensors is missing"]
    assert all(re.fullmatch(r"20\d\d-\d\d-\d\d \d\d:\d\d", row[4]) for row in found.values())


def test_each_line_of_json_is_a_run_with_the_fields_of_a_summary(capsys, runs):
    out, _ = done(capsys, "runs", "runs", "--json")
    objects = [json.loads(line) for line in out.splitlines()]
    summaries = seqlm.find_runs("runs")
    assert [set(told) for told in objects] == [{*RunSummary.__dataclass_fields__, "resume"}] * 4
    for told, summary in zip(objects, summaries):
        assert (told["path"], told["best"], told["step"]) == (str(summary.path), summary.best, summary.step)
        assert told["changed"] == summary.changed.isoformat()
    assert [told["resume"] is not None for told in objects] == [False, False, True, True]


def test_the_command_in_a_note_goes_on_with_the_run(capsys, runs):
    out, _ = done(capsys, "runs", "runs", "--json")
    for told in map(json.loads, out.splitlines()):
        if told["resume"] is not None:
            done(capsys, *shlex.split(told["resume"])[1:], "--quiet")
            (found,) = seqlm.find_runs(told["path"])
            assert found.state == "finished"


class Nothing(seqlm.Extension):
    """An extension that does nothing."""


def test_a_run_that_only_python_can_go_on_with_says_so(capsys, short_text, tmp_path):
    settings = {"hidden_size": 4, "epochs": 2, "schedule": "constant", "quiet": True}
    with pytest.raises(seqlm.SeqlmError):
        seqlm.train(short_text, out=tmp_path / "run", extensions=[Broken()], **settings)
    out, _ = done(capsys, "runs", tmp_path)
    assert out.splitlines()[1].endswith("  interrupted  only Python can go on with it: seqlm_core.resume")
    assert json.loads(done(capsys, "runs", tmp_path, "--json")[0])["resume"] is None


class Broken(Nothing):
    """An extension that fails after an epoch, when there is a checkpoint."""

    def on_step_end(self, training):
        if training.epoch == 1:
            raise RuntimeError("as it should")


def test_where_there_are_no_runs_a_message_says_so(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert done(capsys, "runs") == ("", "no runs in data/models\n")
    assert done(capsys, "runs", ".") == ("", "no runs in .\n")
    assert done(capsys, "runs", "--json")[0] == ""


def test_a_folder_that_is_not_there_is_an_error(capsys, tmp_path):
    code, out, err = run_cli(capsys, "runs", tmp_path / "nowhere")
    assert (code, out, err) == (2, "", f"seqlm: error: {tmp_path / 'nowhere'} is not a folder\n")


def test_a_name_that_would_break_its_line_is_escaped(capsys, runs):
    (runs / "tagger").rename(runs / "two\nlines\udcff")
    out, _ = done(capsys, "runs", "runs")
    assert len(out.splitlines()) == 5
    assert r"runs/two\nlines\udcff  " in out
