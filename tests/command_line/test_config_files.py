"""``--config``: settings from a TOML file, what the command line overrides, and what is wrong with files."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import click
import pytest
from tagger_commands import as_text, done, run_cli, toy_sequences, write

import seqlm_core as seqlm
from seqlm_core.command_line.commands import cli
from seqlm_core.settings.fields import setting_types

TINY = 'files = "short.txt"\nhidden-size = 6\nmax-steps = 2\nbatch-size = 4\nsequence-length = 10\n'
COMMANDS = {"train": seqlm.LanguageSettings, "tag train": seqlm.SequenceSettings}
WRONG = {int: '"many"', float: '"much"', bool: "1", str: "[]", dict: "3", tuple: "[2.5]"}


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path, short_text):
    """The current folder, with a text and a column file."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "short.txt", short_text.read_text()[:2000])
    write(tmp_path / "train.tsv", as_text(toy_sequences(20)))
    return tmp_path


def trained(capsys, text, *arguments, command="train"):
    """Return the run that a file and arguments train."""
    Path("settings.toml").write_text(text)
    done(capsys, *command.split(), "--config", "settings.toml", "--quiet", "--out", "run", "--overwrite", *arguments)
    return (seqlm.SequenceRun if command == "tag train" else seqlm.LanguageRun)("run")


def refused(capsys, text, command="train", *arguments):
    """Return the one line that a file with a mistake leads to."""
    Path("wrong.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    code, out, err = run_cli(capsys, *command.split(), "--config", "wrong.toml", "--out", "run", "--quiet", *arguments)
    assert (code, out, len(err.splitlines())) == (2, "", 1), err
    assert not Path("run").exists()
    assert err.startswith("seqlm: error: wrong.toml")
    return err[len("seqlm: error: ") :].rstrip("\n")


def test_a_file_gives_files_settings_and_options_in_both_spellings(capsys):
    file = TINY + 'tie_weights = true\ncell = "gru"\nvalidation-fraction = 0.2\n[optimizer-option]\nbeta1 = 0.8\n'
    run = trained(capsys, file)
    s = run.settings
    assert (s.hidden_size, s.max_steps, s.tie_weights, s.cell, s.validation_fraction) == (6, 2, True, "gru", 0.2)
    assert s.optimizer_options["beta1"] == 0.8
    assert run.config["texts"]["training"][0]["path"] == str(Path("short.txt").resolve())


def test_a_file_may_name_the_run_and_be_quiet(capsys):
    Path("settings.toml").write_text(TINY + 'out = "named"\nquiet = true\n')
    _, err = done(capsys, "train", "--config", "settings.toml")
    assert [line for line in err.splitlines() if not line.startswith("seqlm: warning: ")] == []
    assert seqlm.LanguageRun("named").settings.hidden_size == 6


def test_sizes_of_layers_are_a_list(capsys):
    assert trained(capsys, TINY.replace("= 6", "= [6, 5]")).settings.hidden_size == (6, 5)


def test_what_is_given_on_the_command_line_comes_before_the_file(capsys):
    Path("other.txt").write_text(Path("short.txt").read_text()[:1500])
    file = TINY + 'cell = "gru"\ntie-weights = true\ndropout = 0.5\nvalidation = "short.txt"\nencoding = "ascii"\n'
    arguments = [
        "other.txt",
        "--hidden-size",
        "4",
        "--no-tie-weights",
        "--dropout",
        "0.25",
        "--validation",
        "other.txt",
    ]
    run = trained(capsys, file, *arguments)
    s = run.settings
    assert (s.hidden_size, s.tie_weights, s.dropout, s.cell, s.encoding) == (4, False, 0.25, "gru", "ascii")
    assert s.recurrent_dropout == 0.25  # follows from the dropout that was given
    texts = [Path(text["path"]).name for part in run.config["texts"].values() for text in part]
    assert texts == ["other.txt", "other.txt"]


def test_an_option_of_a_plugin_is_joined_with_those_of_the_file_unless_there_is_another_plugin(capsys):
    file = TINY + 'optimizer = "adam"\noptimizer-option.beta1 = 0.8\noptimizer-option.beta2 = 0.9\n'
    joined = trained(capsys, file, "--optimizer-option", "beta2=0.95").settings
    assert (joined.optimizer_options["beta1"], joined.optimizer_options["beta2"]) == (0.8, 0.95)
    other = trained(capsys, file, "--optimizer", "sgd", "--optimizer-option", "momentum=0.5").settings
    assert other.optimizer_options == {"momentum": 0.5, "nesterov": False, "weight_decay": 0.0}


def test_a_tagger_takes_columns_and_files_from_a_file(capsys):
    write(Path("train.tsv"), as_text(toy_sequences(20), columns=(1, 0, 2)))
    file = 'files = ["train.tsv"]\ntoken-column = 2\ncolumn = 1\nlowercase = true\nhidden-size = 4\nmax-steps = 2\n'
    run = trained(capsys, file, command="tag train")
    assert run.config["read_from"]["token_column"] == 2
    assert run.config["read_from"]["columns"] == [1]
    assert (run.settings.lowercase, len(run.architecture.columns)) == (True, 1)


def test_several_workers_take_the_same_file(capsys, monkeypatch):
    started = []
    monkeypatch.setattr("seqlm_core.command_line.workers.run_local_job", lambda *given: started.append(given) or 0)
    Path("settings.toml").write_text(TINY)
    monkeypatch.setattr("sys.argv", ["seqlm", "train", "--config", "settings.toml", "--workers", "2"])
    done(capsys, "train", "--config", "settings.toml", "--workers", "2")
    (arguments, workers, *_) = started[0]
    assert arguments[-5:] == ["train", "--config", "settings.toml", "--kvstore", "dist_sync"]
    assert workers == 2


FIELDS = [(command, field) for command, kind in COMMANDS.items() for field in dataclasses.fields(kind)]


@pytest.mark.parametrize(("command", "field"), FIELDS)
def test_a_value_of_a_wrong_type_is_told_with_file_and_key(command, field, capsys):
    key = field.name.replace("_", "-").replace("-options", "-option")
    kind = setting_types(COMMANDS[command])[field.name]
    told = refused(capsys, f"{key} = {WRONG[kind]}\n", command)
    assert told.startswith(f"wrong.toml: {key} must be ")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("hiden-size = 3", "wrong.toml: there is no 'hiden-size'; did you mean 'hidden-size'?"),
        ("learningrate = 3", "wrong.toml: there is no 'learningrate'; did you mean 'learning-rate'?"),
        ("zzz = 1", "wrong.toml: there is no 'zzz'; the keys are the options of the command without their dashes"),
        ("lowercase = true", "wrong.toml: lowercase is a setting of 'seqlm tag train' alone; remove it"),
        ("resume = 'a'", "wrong.toml: resume is not for files; give it on the command line"),
        ("workers = 2", "wrong.toml: workers is not for files; give it on the command line"),
        ("seed = 1\n[Seed]", "wrong.toml: there is no 'Seed'; did you mean 'seed'?"),
        ("top = 1", "wrong.toml: there is no 'top'"),
        ("log-every = 1\nlog_every = 2", "wrong.toml: log_every is given twice, as log-every too; remove one of them"),
        ("hidden-size = 0", "wrong.toml: hidden-size must be at least 1, not 0"),
        ("hidden-size = [6, 70000]", "wrong.toml: hidden-size must be at most 65536, not 70000"),
        ("dropout = 1.0", "wrong.toml: dropout must be below 1, not 1.0"),
        ("learning-rate = inf", "wrong.toml: learning-rate must be a finite number, not inf"),
        ("schedule = 'cosin'", "wrong.toml: schedule must be one of constant, cosine, step, plateau, not 'cosin'"),
        ("checkpoint_every = 100", 'wrong.toml: checkpoint_every must be text: write "100"'),
        ("files = [1]", "wrong.toml: files must be text, not 1"),
        ("quiet = 'yes'", "wrong.toml: quiet must be True or False, not 'yes'"),
        # What is found out later names the file too.
        (TINY + "device = 'tpu'", "wrong.toml: device must be auto, cpu, gpu or gpu:N, not 'tpu'"),
        (TINY + "average-decay = 0.5", "wrong.toml: average-decay is of no use unless --average is ema"),
        (TINY + "encoding = 'latin-x'", "wrong.toml: encoding 'latin-x' is not the name of a text encoding"),
        (TINY + "cell = 'gruu'", "wrong.toml: no cell 'gruu' (did you mean 'gru'?); there are: "),
        (TINY + "cell-option.forget_bais = 1", "wrong.toml: cell 'lstm' has no option 'forget_bais' (did you mean "),
        (TINY + "optimizer-option.beta1 = 'x'", "wrong.toml: optimizer option 'beta1' of 'adam' must be a number"),
        ("hidden-size =", "wrong.toml is not TOML: "),
        (b"files = '\xff'", "wrong.toml is not TOML: "),
    ],
)  # fmt: skip
def test_a_mistake_in_a_file_is_told_in_a_line_with_the_file_the_key_and_the_mend(text, told, capsys):
    assert refused(capsys, text).startswith(told)


def test_a_mistake_on_the_command_line_is_not_blamed_on_the_file(capsys):
    Path("settings.toml").write_text(TINY + 'cell = "gru"\n')
    for arguments in (["--device", "tpu"], ["--cell", "lstn"], ["--hidden-size", "0"]):
        code, _, err = run_cli(capsys, "train", "--config", "settings.toml", *arguments)
        assert code == 2
        assert "settings.toml" not in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--config", "nowhere.toml"], "nowhere.toml cannot be read: No such file or directory"),
        (["--config", "short.txt"], "short.txt is not TOML: "),
        (["--config", "."], ". cannot be read: Is a directory"),
        (
            ["--config", "short.txt", "--resume", "run"],
            "--resume goes on with a run as it began; --config",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_told(arguments, told, capsys):
    code, _, err = run_cli(capsys, "train", *arguments)
    assert code == 2
    assert err.startswith(f"seqlm: error: {told}")


@pytest.mark.parametrize("arguments", [["config", "nowhere"], ["config", "."]])
def test_the_settings_of_no_run_are_refused(arguments, capsys):
    code, out, err = run_cli(capsys, *arguments)
    assert (code, out) == (1, "")
    assert re.fullmatch(r"seqlm: error: .* is not a run directory: .*\n", err)


def test_models_that_no_command_trains_have_no_file(capsys):
    model = seqlm.SequenceModel("values", "values", hidden_size=4, max_steps=1)
    model.train([([[1.0], [2.0]], [[2.0], [1.0]])] * 4, out="values", quiet=True)
    code, out, err = run_cli(capsys, "config", "values")
    assert (code, out) == (2, "")
    assert err == "seqlm: error: values maps values to values, and only Python trains such models\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_flag_of_a_training_can_be_taken_back(command):
    found: click.Command = cli
    for name in command.split():
        found = found.commands[name]
    flags = {parameter.name: parameter for parameter in found.params if getattr(parameter, "is_flag", False)}
    settings = [name for name, kind in setting_types(COMMANDS[command]).items() if kind is bool]
    assert settings
    for name in settings:
        assert flags[name].secondary_opts == [f"--no-{name.replace('_', '-')}"]
