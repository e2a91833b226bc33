"""``seqlm score``"""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

import click

from seqlm_core.command_line.completion import complete_files, complete_runs
from seqlm_core.command_line.plugin_files import load_plugin_files, plugin_option
from seqlm_core.command_line.setting_options import given_settings, setting_options
from seqlm_core.display.bar import show_no_bars
from seqlm_core.settings.reading_rules import ReadingRules, reading_rules

logger = logging.getLogger("seqlm")


@click.command("score")
@click.argument("run", metavar="RUN", shell_complete=complete_runs)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, shell_complete=complete_files)
@click.option(
    "--per",
    type=click.Choice(["token", "line"]),
    default="line",
    show_default=True,
    help="Unit of text to print the surprisal of.",
)
@click.option("--encoding", default="utf-8", show_default=True, metavar="TEXT", help="Encoding of the files.")
@setting_options(ReadingRules)
@plugin_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON: an object on each line.")
def score_command(
    run: str,
    files: tuple[str, ...],
    per: str,
    encoding: str,
    plugin_files: tuple[str, ...],
    as_json: bool,
    **rules: Any,
) -> None:
    """Print how surprising each line or token of a file is to a language model.

    RUN is the directory of a training. A FILE may be a folder, whose files are read as one text. The surprisal of a
    token is minus the binary logarithm of its probability after the tokens before it, in bits; the surprisal of a line
    is the sum over its tokens.
    """
    import seqlm_core as seqlm
    from seqlm_core.reading.sources import check_texts

    if sys.stdout is not None and sys.stdout.isatty():  # what is printed shows how far it is
        show_no_bars()
    load_plugin_files(plugin_files)
    opened = seqlm.LanguageRun(run)
    check_texts(files, folders=True)
    rules = given_settings(rules)
    in_force = reading_rules(rules)
    told = {"reading_rules": in_force.to_json()} if in_force else {}
    for number, file in enumerate(files):
        scores = opened.score(file, per=per, encoding=encoding, **rules)
        if in_force and not number:
            logger.info("while reading: %s", in_force)
        for scored in scores:
            if as_json:
                click.echo(json.dumps({"file": file, **scored.to_json(), **told}))
            else:
                click.echo(_row(scored, per))


def _row(scored: Any, per: str) -> str:
    """Return the surprisal and what it is of, parted by a tab."""
    if per == "line":
        return f"{scored.bits:.3f}\t{scored.text}"
    bits = "" if scored.bits is None else f"{scored.bits:.3f}"
    # As JSON writes it, so that a line feed is seen and takes no line of its own.
    return f"{bits}\t{json.dumps(scored.token, ensure_ascii=False)}"
