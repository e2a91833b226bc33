"""What the commands that train have in common: their options, and going on with a run."""

from __future__ import annotations

from typing import Any, Callable

import click

from seqlm_core.command_line.completion import complete_files, complete_folders, complete_runs
from seqlm_core.command_line.help import GroupedOption
from seqlm_core.command_line.plugin_files import plugin_option
from seqlm_core.command_line.setting_options import setting_options
from seqlm_core.errors import UsageError
from seqlm_core.workers.joining import KVSTORES

_OPTIONS = [
    click.option(
        "--validation",
        metavar="FILE",
        multiple=True,
        shell_complete=complete_files,
        cls=GroupedOption,
        group="text",
        help="Validate on this file instead of on a part of FILE. May be given several times.",
    ),
    click.option(
        "--init-from",
        metavar="RUN",
        shell_complete=complete_runs,
        cls=GroupedOption,
        group="model",
        help="Start with the best weights, the sizes and the vocabulary of this run, and with a new optimizer.",
    ),
    click.option(
        "--resume",
        metavar="RUN",
        shell_complete=complete_runs,
        cls=GroupedOption,
        group="training",
        help="Continue this run from its last checkpoint.",
    ),
    click.option(
        "--config",
        metavar="FILE",
        shell_complete=complete_files,
        cls=GroupedOption,
        group="training",
        help="Take from this TOML file what is not given here: settings, files and others. 'seqlm config' writes one.",
    ),
    click.option(
        "--out",
        metavar="DIRECTORY",
        shell_complete=complete_folders,
        cls=GroupedOption,
        group="output",
        help="Directory to write the run to.  [default: a new one in data/models]",
    ),
    click.option(
        "--overwrite",
        is_flag=True,
        cls=GroupedOption,
        group="output",
        help="Replace the run that is in --out, as soon as the new run has a checkpoint.",
    ),
    click.option(
        "--workers",
        metavar="N",
        type=click.IntRange(min=1),
        default=1,
        cls=GroupedOption,
        group="training",
        help="Train with N processes on this machine, each of which computes its part of every batch.  [default: 1]",
    ),
    click.option(
        "--restarts",
        metavar="K",
        type=click.IntRange(min=0),
        default=0,
        cls=GroupedOption,
        group="training",
        help="With --workers: when a process crashes, begin again from the last checkpoint, at most K times.  "
        "[default: 0]",
    ),
    click.option(
        "--kvstore",
        metavar="NAME",
        type=click.Choice(KVSTORES),
        cls=GroupedOption,
        group="training",
        help="Train with the processes of a job on several machines; 'dist_sync' is the parameter server of MXNet. "
        "The environment tells each process its role.  [default: this process alone]",
    ),
    click.option(
        "--quiet", is_flag=True, cls=GroupedOption, group="output", help="Show no progress, notices or samples."
    ),
    plugin_option,
]
OF_NEW_RUNS = ("validation", "init_from", "out", "overwrite")
"""The names of the options that a run which is resumed has no use for."""


def training_options(kind: type[Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that gives a command the settings of a kind, and the options of every training."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        function = setting_options(kind)(function)
        for option in reversed(_OPTIONS):
            function = option(function)
        return function

    return decorate


def check_new_run(out: str | None, overwrite: bool) -> None:
    """Raise :class:`UsageError` if a run is to be replaced that is not named."""
    if overwrite and out is None:
        raise UsageError("--overwrite needs --out, which names the run to replace")


def check_nothing_new(context: click.Context, names: tuple[str, ...] = ()) -> None:
    """Raise :class:`UsageError` if a command has files, or any option of new runs, beside ``--resume``.

    Args:
        context: of the command.
        names: further options that only new runs have.
    """
    sources = [context.get_parameter_source(name) for name in (*OF_NEW_RUNS, *names)]
    if context.params["files"] or any(source != click.core.ParameterSource.DEFAULT for source in sources):
        raise UsageError("--resume continues a run with its own data, in its own directory; name no others")
