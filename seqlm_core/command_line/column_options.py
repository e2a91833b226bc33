"""The options of the commands that read column files."""

from __future__ import annotations

from typing import Any, Callable

import click

from seqlm_core.command_line.help import GroupedOption

DEFAULTS = {"token": 1, "label": -1}


def column_options(*kinds: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds options for the columns of ``kinds`` and for the encoding of files."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        function = click.option(
            "--column",
            "columns",
            type=int,
            multiple=True,
            metavar="N",
            cls=GroupedOption,
            group="text",
            help="A further column that the model reads, such as that of parts of speech. May be given several times.",
        )(function)
        function = _option("--encoding", default="utf-8", metavar="TEXT", help="Encoding of the files.")(function)
        for kind in reversed(kinds):
            function = _option(
                f"--{kind}-column", type=int, default=DEFAULTS[kind], metavar="N", help=f"Column of the {kind}s."
            )(function)
        return function

    return decorate


def _option(flag: str, **attributes: Any) -> Callable[[Any], Any]:
    return click.option(flag, show_default=True, cls=GroupedOption, group="text", **attributes)
