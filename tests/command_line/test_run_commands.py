"""The commands that trained a run and that go on with it, and the file of settings: what they spell trains the same."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from tagger_commands import done
from trained_by_commands import TRAININGS, make_longer, prepare, same, weights

import seqlm_core as seqlm
from seqlm_core.command_line.run_commands import resume_command, training_command
from seqlm_core.storage.files import read_json, write_json

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PLUGIN = Path(__file__).parents[1] / "formats" / "letter_pairs.py"


@pytest.fixture
def folder(trained, monkeypatch, tmp_path, sample_text):
    """The current folder, with what the trainings read."""
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path, sample_text, PLUGIN)
    shutil.copytree(trained(hidden_size=6, epochs=1).path, "earlier run")
    yield tmp_path
    seqlm.installed_plugins.cache_clear()


def arguments_of(command):
    """Return the arguments of a command as a shell gives them."""
    name, *arguments = shlex.split(command)
    assert name == "seqlm"
    return arguments


@pytest.mark.parametrize("training", TRAININGS)
def test_a_run_is_trained_again_by_its_command_and_by_its_file(training, capsys, folder):
    done(capsys, *TRAININGS[training], "--out", "run")
    *arguments, out, run = arguments_of(training_command(folder / "run"))
    assert (out, run) == ("--out", str(folder / "run"))
    done(capsys, *arguments, "--quiet", "--out", "by-command")
    assert same(weights(folder / "by-command"), weights(folder / "run"))

    seqlm.installed_plugins.cache_clear()
    (folder / "run.toml").write_text(done(capsys, "config", "run")[0])  # which needs no plugin
    command = ["tag", "train"] if "tag" in TRAININGS[training] else ["train"]
    done(capsys, *command, "--config", "run.toml", "--quiet", "--out", "by-file")
    assert same(weights(folder / "by-file"), weights(folder / "run"))
    configs = [read_json(folder / run / "config.json") for run in ("run", "by-command", "by-file")]
    for key in ("texts", "read_from", "plugins", "architecture"):
        assert configs[0].get(key) == configs[1].get(key) == configs[2].get(key), key


def test_a_command_has_only_what_differs_from_the_defaults(capsys, folder):
    done(capsys, *TRAININGS["what is chosen"], "--cell-option", "forget_bias=2", "--out", "run")
    text = shlex.quote(str(folder / "book one.txt"))
    spelled = f"seqlm train {text} --cell-option forget_bias=2.0 --hidden-size 6 --max-steps 2 --out run"
    assert training_command(Path("run")) == spelled


def test_the_number_of_workers_is_part_of_the_command(capsys, folder):
    done(capsys, *TRAININGS["a language model"], "--out", "run")
    config = read_json(folder / "run" / "config.json")
    write_json(folder / "run" / "config.json", {**config, "workers": 3})
    assert training_command(Path("run")).endswith(" --workers 3 --out run")


def test_what_follows_from_other_settings_follows_from_those_that_are_given_later(capsys, folder):
    done(capsys, *TRAININGS["a language model"], "--out", "run")
    Path("run.toml").write_text(done(capsys, "config", "run")[0])
    given = ["--hidden-size", "5,4", "--dropout", "0.2", "--quiet", "--out", "other"]
    done(capsys, "train", "--config", "run.toml", *given)
    settings = seqlm.LanguageRun("other").settings
    assert (settings.hidden_sizes, settings.recurrent_dropout, settings.max_steps) == ((5, 4), 0.2, 3)


@pytest.mark.parametrize("training", ["a plugin of a file", "a tagger"])
def test_the_command_that_resumes_a_run_goes_on_with_it(training, capsys, folder):
    run = folder / "a run"
    done(capsys, *TRAININGS[training], "--schedule", "constant", "--out", run)
    make_longer(run, max_steps=5)
    done(capsys, *arguments_of(resume_command(run)), "--quiet")
    (found,) = seqlm.find_runs(run)
    assert (found.state, found.step) == ("finished", 5)


def test_there_is_no_command_for_what_only_python_trains(folder, short_text):
    settings = {"hidden_size": 4, "max_steps": 1, "quiet": True}
    of_values = seqlm.SequenceModel("values", "values", hidden_size=4, max_steps=1)
    of_values.train([([[1.0], [2.0]], [[2.0], [1.0]])] * 4, out="values", quiet=True)
    in_memory = seqlm.SequenceModel(hidden_size=4, max_steps=1)
    in_memory.train([(["a", "b"], ["x", "y"])] * 4, [], out="memory", quiet=True)
    seqlm.train(short_text, out="extended", extensions=[Nothing()], **settings)
    seqlm.train(short_text, out="scheduled", schedule=half, **settings)
    for name in ("values", "memory", "extended", "scheduled"):
        assert training_command(folder / name) is None


def half(step, steps):
    return 0.5


class Nothing(seqlm.Extension):
    """An extension that does nothing."""


def test_the_file_of_a_run_that_had_code_of_a_program_says_so(capsys, folder, short_text):
    seqlm.train(short_text, out="run", extensions=[Nothing()], schedule=half, hidden_size=4, max_steps=1, quiet=True)
    out, err = done(capsys, "config", "run")
    for words in ("the extension Nothing", "the schedule 'function half'"):
        assert words in out.splitlines()[1] + out.splitlines()[2]
        assert words in err
    assert "schedule" not in tomllib.loads(out)


def test_the_file_of_a_tagger_whose_files_are_not_known_asks_for_them(capsys, folder):
    model = seqlm.SequenceModel(hidden_size=4, max_steps=1)
    model.train([(["a", "b"], ["x", "y"])] * 4, [], out="memory", quiet=True)
    out, _ = done(capsys, "config", "memory")
    assert "files" not in tomllib.loads(out)
    assert "name them here" in out


def test_the_groups_and_the_order_of_a_file_are_those_of_the_help(capsys, folder):
    done(capsys, *TRAININGS["a tagger of much"], "--out", "run")
    out, _ = done(capsys, "config", "run")
    assert re.findall(r"^# (\w+)$", out, re.MULTILINE) == ["Text", "Model", "Training", "Output", "Advanced"]
    values = tomllib.loads(out)
    assert values["files"] == [str(folder / "train.tsv")] * 2
    assert values["validation"] == [str(folder / "test.tsv")]
    assert (values["column"], values["label-column"], values["encoding"]) == ([2], 3, "latin-1")
    assert (values["vectors"], values["language-model"]) == (str(folder / "vectors.txt"), str(folder / "earlier run"))
    assert (values["char-cell-option"], values["constrain"]) == ({"activation": "relu"}, True)
    assert "embedding-size" not in values  # it is that of the vectors, and must not be given
