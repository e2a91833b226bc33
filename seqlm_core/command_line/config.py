"""``seqlm config``"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from seqlm_core.command_line.completion import complete_runs
from seqlm_core.command_line.config_file import TrainingCommand
from seqlm_core.command_line.help import group_of
from seqlm_core.command_line.tag_train import train_command as tag_train_command
from seqlm_core.command_line.train import train_command
from seqlm_core.command_line.training_call import LANGUAGE_COMMAND, TAGGER_COMMAND, TrainingCall
from seqlm_core.settings.fields import GROUPS, facts
from seqlm_core.settings.schedules import PLATEAU, SCHEDULES

logger = logging.getLogger("seqlm")

COMMANDS: dict[tuple[str, ...], TrainingCommand] = {LANGUAGE_COMMAND: train_command, TAGGER_COMMAND: tag_train_command}
SCHEDULE_NAMES = (*SCHEDULES, PLATEAU)
OF_THE_CALL = ("out", "quiet")
"""What a file may hold that is not of the run."""
UNKNOWN_FILES = "# files = [...]: the run does not say which column files it was made of; name them here"


@click.command("config")
@click.argument("run", metavar="RUN", shell_complete=complete_runs)
def config_command(run: str) -> None:
    """Print what a run was trained with as TOML, for --config of 'seqlm train'.

    RUN is the directory of a training. What was chosen by itself, such as the number of epochs, has the value that was
    chosen. So 'seqlm config RUN > FILE' and 'seqlm train --config FILE' train the same model again.
    """
    path = Path(run)
    call = TrainingCall.of_run(path)
    for line in config_lines(call, path):
        click.echo(line)
    for code in call.own_code:
        logger.warning("the run was trained with %s, which no file can hold", code)


def config_lines(call: TrainingCall, path: Path) -> Iterator[str]:
    """Yield the lines of a file for ``--config``, its keys in the groups in which help shows the options."""
    command = COMMANDS[call.command]
    names = command.keys
    by_name = {str(parameter.name): parameter for parameter in command.params}
    yield f"# What {path.resolve()} was trained with: seqlm {' '.join(call.command)} --config FILE"
    for code in call.own_code:
        yield f"# and {code}, which no file can hold"
    for group in GROUPS:
        keys = [key for key, name in names.items() if group_of(by_name[name]) == group and name not in OF_THE_CALL]
        if keys:
            yield ""
            yield f"# {group.capitalize()}"
        for key in keys:
            yield from _lines_of(key, names[key], call)


def _lines_of(key: str, name: str, call: TrainingCall) -> Iterator[str]:
    if name == "files":
        yield UNKNOWN_FILES if call.files is None else _line(key, call.files)
        return
    value = call.options.get(name) if name in call.options else getattr(call.settings, name, None)
    if name == "schedule" and value not in SCHEDULE_NAMES:
        return  # a function, which is named at the top
    follows = {**dict.fromkeys(call.following_rates(), "dropout"), **call.following_layers()}
    needed = facts(type(call.settings), "needs").get(name)
    if needed is not None and getattr(call.settings, needed) is None:
        value = None  # what has no use is refused
    if isinstance(value, dict):
        for option, chosen in value.items():
            yield f"{key}.{_line(option, chosen)}"
    elif value is None or value == []:
        yield f"# {key} is not set"
    elif name in follows:
        yield f"# {_line(key, value)}  # follows from {follows[name]}"
    else:
        yield _line(key, value)


def _line(key: str, value: Any) -> str:
    """Return a key and its value as TOML, numbers of a list on one line."""
    import tomli_w

    if isinstance(value, (list, tuple)) and all(isinstance(item, int) for item in value):
        return f"{key} = [{', '.join(map(str, value))}]"
    return tomli_w.dumps({key: value}).rstrip("\n")
