"""``seqlm evaluate``"""

from __future__ import annotations

import json
from typing import Any

import click

from seqlm_core.command_line.completion import complete_files, complete_runs
from seqlm_core.command_line.plugin_files import load_plugin_files, plugin_option
from seqlm_core.command_line.setting_options import given_settings, setting_options
from seqlm_core.reading.unknown import percent
from seqlm_core.settings.reading_rules import ReadingRules

LABELS = {
    "nats_per_token": "nats per token",
    "both_sides_nats_per_token": "both sides, nats per token",
    "bits_per_character": "bits per character",
    "perplexity": "perplexity",
    "tokens": "predicted tokens",
    "characters": "characters",
    "unknown_tokens": "unknown tokens",
}


@click.command("evaluate")
@click.argument("run", metavar="RUN", shell_complete=complete_runs)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, shell_complete=complete_files)
@click.option("--encoding", default="utf-8", show_default=True, metavar="TEXT", help="Encoding of the files.")
@setting_options(ReadingRules)
@plugin_option
@click.option(
    "--json", "as_json", is_flag=True, help="Print JSON: an object for one file, a list of objects for several files."
)
def evaluate_command(
    run: str, files: tuple[str, ...], encoding: str, plugin_files: tuple[str, ...], as_json: bool, **rules: Any
) -> None:
    """Print how well a language model predicts files.

    RUN is the directory of a training. There are figures for each FILE; - is standard input. A FILE may be a folder,
    whose files are read as one text.
    """
    import seqlm_core as seqlm

    load_plugin_files(plugin_files)
    evaluations = seqlm.LanguageRun(run).evaluate(*files, encoding=encoding, **given_settings(rules))
    if as_json:
        values = [evaluation.to_json() for evaluation in evaluations]
        click.echo(json.dumps(values[0] if len(values) == 1 else values, indent=2))
        return
    for file, evaluation in zip(files, evaluations):
        click.echo(file)
        if evaluation.reading_rules is not None:
            click.echo(f"  {'while reading':<27} {evaluation.reading_rules}")
        figures = evaluation.to_json()
        unknown = f"{percent(evaluation.unknown_share)} of the tokens are unknown"
        for name, label in LABELS.items():
            value = figures.get(name)
            if value is not None:
                shown = f"{value:.4f}" if isinstance(value, float) else f"{value:,}"
                if name == "bits_per_character" and evaluation.unknown_tokens:
                    shown += f" (not comparable: {unknown})"
                if name == "unknown_tokens" and value:
                    shown += f" ({percent(evaluation.unknown_share)})"
            elif name == "bits_per_character":
                shown = f"withheld: {unknown}"
            else:
                continue
            click.echo(f"  {label:<27} {shown}")
