"""Messages of the Python API as the command line words them: with options, and with commands that mend."""

from __future__ import annotations

import dataclasses
import logging
import re

import pytest

import seqlm_core as seqlm
from seqlm_core.command_line.main import main
from seqlm_core.command_line.words import in_words, with_flags
from seqlm_core.errors import SettingError, UsageError
from seqlm_core.settings.decoding_rules import DecodingRules
from seqlm_core.settings.reading_rules import ReadingRules
from seqlm_core.settings.settings import LanguageSettings, SequenceSettings

SETTINGS = sorted(
    {
        f.name
        for kind in (LanguageSettings, SequenceSettings, DecodingRules, ReadingRules)
        for f in dataclasses.fields(kind)
    }
)


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_spelled_as_an_option_that_there_is(name, capsys):
    option = with_flags(f"`{name}`")
    assert option.startswith("--")
    shown = ""
    for command in (["train"], ["tag", "train"], ["sample"], ["evaluate"]):
        with pytest.raises(SystemExit):
            main([*command, "--help"])
        shown += capsys.readouterr().out
    assert re.search(f"{option}\\s", shown)


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("try a lower `learning_rate` or `clip_norm`", "try a lower --learning-rate or --clip-norm"),
        ("`tokenizer_options` boundaries=nltk", "--tokenizer-option boundaries=nltk"),
        ("another `parent`", "another --directory"),  # called otherwise in Python
        ("the token '`nobody`' is unknown", "the token '`nobody`' is unknown"),
        ("`` is empty, and ` odd_ones` too", "`` is empty, and ` odd_ones` too"),
        ("runs/`ls`/text.txt is empty", "runs/`ls`/text.txt is empty"),
        ("no name without backticks: learning_rate", "no name without backticks: learning_rate"),
    ],
)
def test_names_within_backticks_that_are_settings_are_options_and_nothing_else_changes(message, shown):
    assert with_flags(message) == shown
    assert in_words(UsageError(message)) == shown


def test_the_error_of_a_setting_begins_with_its_option():
    assert in_words(SettingError("cell_options", "needs `cell`")) == "--cell-option needs --cell"


def test_a_log_message_shows_options_only_on_the_command_line(capsys, caplog, monkeypatch, short_text, tmp_path):
    settings = {"hidden_size": 8, "max_steps": 2, "sequence_length": 20, "batch_size": 8, "warmup": 9}
    with caplog.at_level(logging.INFO, "seqlm"):
        seqlm.train(short_text, out=tmp_path / "one", log_every=0, sample_every=0, **settings)
    assert "a lower `warmup` may learn more" in caplog.text
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    with pytest.raises(SystemExit):
        main(["train", str(short_text), "--out", str(tmp_path / "two"), *flags])
    assert "a lower --warmup may learn more\n" in capsys.readouterr().err


def test_a_device_that_is_not_there_is_named_as_python_and_the_command_line_name_it(capsys, short_text, tmp_path):
    message = r"^`device` gpu:99 is not there \(.*\); use `device` cpu$"
    with pytest.raises(seqlm.SeqlmError, match=message):
        seqlm.train(short_text, device="gpu:99", out=tmp_path / "run", quiet=True)
    with pytest.raises(SystemExit) as exit_:
        main(["train", str(short_text), "--device", "gpu:99", "--out", str(tmp_path / "run"), "--quiet"])
    told = capsys.readouterr().err
    assert (exit_.value.code, told.startswith("seqlm: error: --device gpu:99 is not there (")) == (1, True)
    assert told.endswith("); use --device cpu\n")
