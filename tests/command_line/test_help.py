"""The help of the commands: whole sentences, within 80 columns, and the options of a training in groups."""

from __future__ import annotations

import dataclasses
import re

import click
import pytest
from click.testing import CliRunner

import seqlm_core as seqlm
from seqlm_core.command_line.commands import cli
from seqlm_core.command_line.setting_options import flag_of

GROUPS = ["Text", "Model", "Training", "Output", "Advanced"]
TRAININGS = {"train": seqlm.LanguageSettings, "tag train": seqlm.SequenceSettings}


def names_of_commands(group: click.Group = cli, before: str = "") -> list[str]:
    found = [before.strip()]
    for name, command in group.commands.items():
        full_name = f"{before}{name}"
        found += names_of_commands(command, full_name + " ") if isinstance(command, click.Group) else [full_name]
    return found


def help_of(command: str) -> str:
    done = CliRunner().invoke(cli, [*command.split(), "--help"], prog_name="seqlm", terminal_width=80)
    assert done.exit_code == 0
    return done.output


@pytest.mark.parametrize("command", names_of_commands())
def test_help_fits_80_columns_and_cuts_no_sentence(command):
    printed = help_of(command)
    assert "..." not in printed.partition("\n\n")[2]
    assert [line for line in printed.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("group", ["", "tag"])
def test_a_command_is_listed_with_the_whole_first_sentence_of_its_help(group):
    listed = " ".join(help_of(group).partition("Commands:\n")[2].split())
    commands = cli.commands["tag"].commands if group else cli.commands
    for name in commands:
        described = " ".join(help_of(f"{group} {name}").partition("\n\n")[2].partition("\n\n")[0].split())
        assert f"{name} {described.partition('. ')[0].rstrip('.')}" in listed


@pytest.mark.parametrize("command", TRAININGS)
def test_the_options_of_a_training_are_in_groups(command):
    printed = help_of(command)
    assert re.findall(r"^(\w+) options:$", printed, re.MULTILINE) == GROUPS
    found = {}
    for heading, options in re.findall(r"^(\w+) options:\n(.*?)(?=^\w|\Z)", printed, re.MULTILINE | re.DOTALL):
        found.update(dict.fromkeys(re.findall(r"^  (?:-h, )?(--[a-z-]+)", options, re.MULTILINE), heading))
    for field in dataclasses.fields(TRAININGS[command]):
        assert found.pop(flag_of(field.name)) == field.metadata["group"].capitalize()
    assert found.pop("--validation") == "Text"
    assert found.pop("--init-from") == "Model"
    assert [found.pop(flag) for flag in ("--resume", "--config", "--workers", "--restarts", "--kvstore")] == [
        "Training"
    ] * 5
    assert [found.pop(flag) for flag in ("--out", "--overwrite", "--quiet")] == ["Output"] * 3
    assert found.pop("--plugin") == "Advanced"
    if command == "tag train":
        columns = ("--token-column", "--label-column", "--column", "--encoding")
        assert [found.pop(flag) for flag in columns] == ["Text"] * 4
        assert [found.pop(flag) for flag in ("--vectors", "--language-model")] == ["Model"] * 2
    assert found == {"--help": "Advanced"}


@pytest.mark.parametrize("command", names_of_commands())
def test_every_option_has_a_help_text_of_sentences(command):
    found: click.Command = cli
    for name in command.split():
        found = found.commands[name]
    for option in found.params:
        if isinstance(option, click.Option):
            sentences = option.help.partition("  [default")[0]
            assert re.fullmatch(r"[A-Z].*\.", sentences), option.name
