"""``seqlm score``"""

from __future__ import annotations

import json
from typing import Any

import click

from seqlm_core.command_line.plugin_files import load_plugin_files, plugin_option


@click.command("score")
@click.argument("run", metavar="RUN")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option(
    "--per",
    type=click.Choice(["token", "line"]),
    default="line",
    show_default=True,
    help="Unit of text to print the surprisal of.",
)
@click.option("--encoding", default="utf-8", show_default=True, metavar="TEXT", help="Encoding of the files.")
@plugin_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON: an object on each line.")
def score_command(
    run: str, files: tuple[str, ...], per: str, encoding: str, plugin_files: tuple[str, ...], as_json: bool
) -> None:
    """Print how surprising each line or token of a file is to a language model.

    RUN is the directory of a training. The surprisal of a token is minus the binary logarithm of its probability after
    the tokens before it, in bits; the surprisal of a line is the sum over its tokens.
    """
    import seqlm_core as seqlm
    from seqlm_core.reading.sources import check_texts

    load_plugin_files(plugin_files)
    opened = seqlm.LanguageRun(run)
    check_texts(files)
    for file in files:
        for scored in opened.score(file, per=per, encoding=encoding):
            if as_json:
                click.echo(json.dumps({"file": file, **scored.to_json()}))
            else:
                click.echo(_row(scored, per))


def _row(scored: Any, per: str) -> str:
    """Return the surprisal and what it is of, parted by a tab."""
    if per == "line":
        return f"{scored.bits:.3f}\t{scored.text}"
    bits = "" if scored.bits is None else f"{scored.bits:.3f}"
    # As JSON writes it, so that a line feed is seen and takes no line of its own.
    return f"{bits}\t{json.dumps(scored.token, ensure_ascii=False)}"
