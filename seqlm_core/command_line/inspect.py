"""``seqlm inspect``"""

from __future__ import annotations

import click

from seqlm_core.command_line.column_options import column_options
from seqlm_core.command_line.plugin_files import load_plugin_files, plugin_option
from seqlm_core.command_line.tagger import language_model_option
from seqlm_core.views.inspection_page import MOST_TOKENS, write_inspection, write_label_inspection


@click.command("inspect")
@click.argument("run", metavar="RUN")
@click.argument("file", metavar="FILE")
@click.option("--out", metavar="FILE", default="inspect.html", show_default=True, help="The page to write.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=MOST_TOKENS,
    show_default=True,
    metavar="N",
    help="The most tokens to show, from the beginning of FILE.",
)
@column_options("token", "label")
@language_model_option
@plugin_option
def inspect_command(
    run: str,
    file: str,
    out: str,
    limit: int,
    token_column: int,
    label_column: int,
    columns: tuple[int, ...],
    encoding: str,
    language_model: str | None,
    plugin_files: tuple[str, ...],
) -> None:
    """Write a page that shows what a model makes of each token of a file.

    RUN is the directory of a training. Of a language model the page shows how surprising each token of the text FILE
    is, what else was likely, and what its units do. Of a tagger it shows the labels of the column file FILE. It is one
    HTML file, which needs no network.
    """
    import seqlm_core as seqlm
    from seqlm_core.runs.opening import open_run
    from seqlm_core.sequences.columns import Columns

    load_plugin_files(plugin_files)
    if isinstance(open_run(run, language_model), seqlm.LanguageRun):
        write_inspection(run, file, out, encoding=encoding, limit=limit)
    else:
        read = Columns(token_column, label_column, columns)
        write_label_inspection(
            run, file, out, columns=read, encoding=encoding, limit=limit, language_model=language_model
        )
    click.echo(out)
