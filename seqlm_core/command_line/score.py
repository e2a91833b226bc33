"""``seqlm score``"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

from seqlm_core.command_line.completion import complete_files, complete_runs
from seqlm_core.command_line.output import write
from seqlm_core.command_line.output_file import OutputFile, output_file_options
from seqlm_core.command_line.plugin_files import load_plugin_files, plugin_option
from seqlm_core.command_line.setting_options import given_settings, setting_options
from seqlm_core.display.bar import show_no_bars
from seqlm_core.errors import UsageError
from seqlm_core.settings.reading_rules import ReadingRules, reading_rules

logger = logging.getLogger("seqlm")

FIRST_KEY = '{"file": '
"""How each line of JSON begins."""


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
@click.option(
    "--jobs",
    type=click.IntRange(min=0),
    metavar="N",
    help="Read the text in parts by N processes; 0 is one for each usable core. A part is read after the 512 tokens "
    "before it alone, so the figures may differ a little.  [default: read it from beginning to end]",
)
@plugin_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON: an object on each line.")
@output_file_options
def score_command(
    run: str,
    files: tuple[str, ...],
    per: str,
    encoding: str,
    jobs: int | None,
    plugin_files: tuple[str, ...],
    as_json: bool,
    out: str | None,
    resume: bool,
    **rules: Any,
) -> None:
    """Print how surprising each line or token of a file is to a language model.

    RUN is the directory of a training. A FILE may be a folder, whose files are read as one text. The surprisal of a
    token is minus the binary logarithm of its probability after the tokens before it, in bits; the surprisal of a line
    is the sum over its tokens.
    """
    import seqlm_core as seqlm
    from seqlm_core.reading.sources import check_texts

    if resume and not as_json:
        raise UsageError("--resume goes on with lines of JSON; give --json, too")
    if resume and len(set(files)) < len(files):
        raise UsageError("--resume cannot tell the lines of a file that is named twice; name each once")
    output = OutputFile(out, resume)
    if out is None and sys.stdout is not None and sys.stdout.isatty():  # what is printed shows how far it is
        show_no_bars()
    load_plugin_files(plugin_files)
    opened = seqlm.LanguageRun(run)
    check_texts(files, folders=True)
    rules = given_settings(rules)
    in_force = reading_rules(rules)
    told = {"reading_rules": in_force.to_json()} if in_force else {}

    def scores_of(file: str, first: int) -> Iterator[Any]:
        return opened.score(file, per=per, encoding=encoding, first=first, jobs=jobs, **rules)

    def as_line(file: str, scored: Any) -> dict[str, Any]:
        return {"file": file, **scored.to_json(), **told}

    done = _lines_of_files(output, files)
    if output.last is not None:
        last = str(output.last.get("file"))
        again = itertools.islice(scores_of(last, max(0, done[last] - 1)), 1) if last in done else []
        expected = next((as_line(last, scored) for scored in again), {"file": files})
        output.check_last(expected, ["file", "text" if per == "line" else "token"])
    scores_of_files = [(file, scores_of(file, done[file])) for file in files]
    if in_force:
        logger.info("while reading: %s", in_force)
    with output.opened() as to:
        for file, scores in scores_of_files:
            if as_json:
                write((json.dumps(as_line(file, scored)) + "\n" for scored in scores), stream=to)
            else:
                write((_row(scored, per) + "\n" for scored in scores), stream=to)


def _lines_of_files(output: OutputFile, files: Sequence[str]) -> dict[str, int]:
    """Return how many lines of each file are in the output already."""
    done = dict.fromkeys(files, 0)
    decode = json.JSONDecoder().raw_decode
    for line in output.lines():
        with contextlib.suppress(ValueError):  # the last line is compared with what this command writes
            file, _ = decode(line.decode(), len(FIRST_KEY))
            if file in done:
                done[file] += 1
    return done


def _row(scored: Any, per: str) -> str:
    """Return the surprisal and what it is of, parted by a tab."""
    if per == "line":
        return f"{scored.bits:.3f}\t{scored.text}"
    bits = "" if scored.bits is None else f"{scored.bits:.3f}"
    # As JSON writes it, so that a line feed is seen and takes no line of its own.
    return f"{bits}\t{json.dumps(scored.token, ensure_ascii=False)}"
