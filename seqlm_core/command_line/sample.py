"""``seqlm sample``"""

from __future__ import annotations

import json
import secrets
import sys
from typing import Any

import click

from seqlm_core.errors import UsageError
from seqlm_core.generation.decoding import DEFAULT_TEMPERATURE
from seqlm_core.generation.generate import DEFAULT_LENGTH


@click.command("sample")
@click.argument("run", metavar="RUN")
@click.option("--prompt", metavar="TEXT", help="Text to continue; it is printed first.  [default: none]")
@click.option("--prompt-file", metavar="FILE", help="The same from a file; - is standard input.")
@click.option("--encoding", default="utf-8", show_default=True, metavar="TEXT", help="Encoding of the prompt file.")
@click.option(
    "--length", type=int, default=DEFAULT_LENGTH, show_default=True, metavar="N", help="The most tokens to add."
)
@click.option(
    "--count", type=int, default=1, show_default=True, metavar="N", help="Texts to sample, each after the prompt."
)
@click.option(
    "--temperature",
    type=float,
    default=DEFAULT_TEMPERATURE,
    show_default=True,
    metavar="X",
    help="Below 1 more probable, above 1 more surprising text; 0 takes the most probable token.",
)
@click.option(
    "--top-k", type=int, default=0, show_default=True, metavar="N", help="Draw from the N most probable tokens; 0: all."
)
@click.option(
    "--top-p",
    type=float,
    default=1.0,
    show_default=True,
    metavar="X",
    help="Draw from the fewest most probable tokens whose probabilities add up to this.",
)
@click.option(
    "--min-p",
    type=float,
    default=0.0,
    show_default=True,
    metavar="X",
    help="Draw from tokens that are at least so probable as a share of the most probable one.",
)
@click.option(
    "--repetition-penalty",
    type=float,
    default=1.0,
    show_default=True,
    metavar="X",
    help="Multiply the log-probabilities of tokens that are in the text already; above 1 they get less probable.",
)
@click.option(
    "--beam",
    type=int,
    default=0,
    show_default=True,
    metavar="N",
    help="Search for the most probable texts with a beam of this width, instead of drawing; 0 draws.",
)
@click.option("--stop", multiple=True, metavar="TEXT", help="End before this text. May be given several times.")
@click.option("--seed", type=int, metavar="N", help="The same seed gives the same texts.  [default: random]")
@click.option(
    "--stream/--no-stream", default=None, help="Print the text as it is drawn.  [default: on a terminal, for one text]"
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: texts, tokens, and log-probabilities in nats.")
@click.pass_context
def sample_command(
    context: click.Context,
    run: str,
    prompt: str | None,
    prompt_file: str | None,
    encoding: str,
    count: int,
    beam: int,
    seed: int | None,
    stream: bool | None,
    as_json: bool,
    **rules: Any,
) -> None:
    """Print texts sampled from RUN, the directory of a training."""
    import seqlm_core as seqlm

    if stream and (as_json or beam or count != 1):
        raise UsageError("--stream is for a single text that is drawn, so not with --json, --beam or --count")
    if beam:
        of_drawing = ["temperature", "top_k", "top_p", "min_p", "repetition_penalty", "seed"]
        given = [n for n in of_drawing if context.get_parameter_source(n) != click.core.ParameterSource.DEFAULT]
        if given:
            flag = "--" + given[0].replace("_", "-")
            raise UsageError(f"{flag} is for drawing, and --beam searches for the most probable text")
    elif seed is None:
        seed = secrets.randbits(63)
    if prompt_file is None and context.get_parameter_source("encoding") != click.core.ParameterSource.DEFAULT:
        raise UsageError("--encoding is that of --prompt-file, which is not given")
    opened = seqlm.Run(run)
    prompt = _prompt(prompt, prompt_file, encoding)
    on_terminal = sys.stdout is not None and sys.stdout.isatty()
    if stream or (stream is None and not as_json and not beam and count == 1 and on_terminal):
        click.echo(prompt, nl=False)
        for piece in opened.stream(prompt, seed=seed, **rules):
            click.echo(piece, nl=False)
        click.echo()
        return
    texts = opened.generate(prompt, count=count, beam=beam, seed=seed, **rules)
    if as_json:
        samples = [text.to_json() for text in texts]
        click.echo(json.dumps({"prompt": prompt, "seed": seed, "samples": samples}, indent=2))
        return
    for number, text in enumerate(texts, 1):
        if len(texts) > 1:
            click.echo(f"--- {number} of {len(texts)} ---")
        click.echo(prompt + text.text)


def _prompt(text: str | None, file: str | None, encoding: str) -> str:
    """Return the prompt as it is given, or what is in the file.

    Raises:
        UsageError: both are given.
        TextError: the file cannot be read.
    """
    if file is None:
        return text or ""
    if text is not None:
        raise UsageError("--prompt and --prompt-file are two ways to give the same; leave one of them out")
    from seqlm_core.reading.text import check_encoding, read_blocks
    from seqlm_core.texts import open_texts

    check_encoding(encoding)
    with open_texts(file) as opened:
        return "".join(block for path in opened.training for block in read_blocks(path, encoding))
