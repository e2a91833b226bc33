"""``seqlm sample``"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import sys
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING, Any

import click

from seqlm_core.command_line.completion import complete_files, complete_runs
from seqlm_core.command_line.output import Fields, Items, Text, json_pieces, write
from seqlm_core.command_line.plugin_files import load_plugin_files, plugin_option
from seqlm_core.command_line.setting_options import flag_of, given_settings, setting_options
from seqlm_core.errors import UsageError
from seqlm_core.generation.checks import LONGEST_OF_BEAM, WIDEST_BEAM
from seqlm_core.generation.generate import DEFAULT_LENGTH
from seqlm_core.settings.decoding_rules import DecodingRules
from seqlm_core.storage.temporary import readable_file_errors

if TYPE_CHECKING:
    from seqlm_core.generation.text_generator import GeneratedText

# Tokens and log-probabilities of a text are kept until its characters are printed; more than so many bytes in a file.
KEPT_IN_MEMORY = 1 << 22


@click.command("sample")
@click.argument("run", metavar="RUN", shell_complete=complete_runs)
@click.option("--prompt", metavar="TEXT", help="Text to continue. It is printed first.  [default: none]")
@click.option(
    "--prompt-file",
    metavar="FILE",
    shell_complete=complete_files,
    help="Read the prompt from this file, without a line feed at its end; - is standard input.",
)
@click.option("--encoding", default="utf-8", show_default=True, metavar="TEXT", help="Encoding of the prompt file.")
@click.option(
    "--length",
    type=int,
    default=DEFAULT_LENGTH,
    show_default=True,
    metavar="N",
    help=f"Largest number of tokens to add; with --beam at most {LONGEST_OF_BEAM}.",
)
@click.option("--count", type=int, default=1, show_default=True, metavar="N", help="Number of texts to sample.")
@setting_options(DecodingRules)
@click.option(
    "--beam",
    type=int,
    default=0,
    show_default=True,
    metavar="N",
    help=f"Search for the most probable texts with a beam of width N, at most {WIDEST_BEAM}. 0 draws texts at random.",
)
@click.option("--stop", multiple=True, metavar="TEXT", help="Stop before this text. May be given several times.")
@click.option(
    "--seed",
    type=int,
    metavar="N",
    help="Seed of the random numbers: the same seed gives the same texts.  [default: random]",
)
@click.option(
    "--stream/--no-stream",
    default=None,
    help="Print the text piece by piece while it is drawn.  [default: --stream for a single text on a terminal]",
)
@plugin_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON: texts, tokens and log-probabilities in nats.")
@click.pass_context
def sample_command(
    context: click.Context,
    run: str,
    prompt: str | None,
    prompt_file: str | None,
    encoding: str,
    length: int,
    count: int,
    beam: int,
    stop: tuple[str, ...],
    seed: int | None,
    stream: bool | None,
    plugin_files: tuple[str, ...],
    as_json: bool,
    **rules: Any,
) -> None:
    """Print texts that a language model writes.

    RUN is the directory of a training.
    """
    import seqlm_core as seqlm

    if stream and (as_json or beam or count != 1):
        raise UsageError("--stream is for a single text that is drawn, so not with --json, --beam or --count")
    rules = given_settings(rules)
    if beam:
        of_drawing = [*rules, *([] if seed is None else ["seed"])]
        if of_drawing:
            raise UsageError(f"{flag_of(of_drawing[0])} is for drawing, and --beam searches for the most probable text")
    elif seed is None:
        seed = secrets.randbits(63)
    if prompt_file is None and context.get_parameter_source("encoding") != click.core.ParameterSource.DEFAULT:
        raise UsageError("--encoding is that of --prompt-file, which is not given")
    load_plugin_files(plugin_files)
    opened = seqlm.LanguageRun(run)
    prompt = _prompt(prompt, prompt_file, encoding)
    on_terminal = sys.stdout is not None and sys.stdout.isatty()
    at_once = stream if stream is not None else count == 1 and on_terminal
    texts: Iterable[Iterator[GeneratedText]]
    if beam:
        texts = [iter([text]) for text in opened.generate(prompt, count=count, length=length, beam=beam, stop=stop)]
        count = len(texts)
    else:
        texts = opened.stream_each(prompt, count=count, length=length, stop=stop, seed=seed, **rules)
    if as_json:
        samples = Items(Fields(_fields(pieces)) for pieces in texts)
        write(json_pieces(Fields({"prompt": prompt, "seed": seed, "samples": samples}.items())))
        write("\n")
        return
    for number, pieces in enumerate(texts, 1):
        if count > 1:
            write(f"--- {number} of {count} ---\n")
        write([prompt], at_once)
        write((piece.text for piece in pieces), at_once)
        write(["\n"], at_once)


def _fields(pieces: Iterator[GeneratedText]) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a text that comes in pieces, in memory that does not grow with its length."""
    finished = False
    with _temporary_file() as tokens, _temporary_file() as log_probabilities:

        def texts() -> Iterator[str]:
            nonlocal finished
            for piece in pieces:
                _keep(piece.tokens, tokens)
                _keep(piece.log_probabilities, log_probabilities)
                finished = piece.finished
                yield piece.text

        yield "text", Text(texts())
        yield "tokens", Items(_kept(tokens))
        yield "log_probabilities", Items(_kept(log_probabilities))
        yield "finished", finished


@contextlib.contextmanager
def _temporary_file() -> Iterator[IO[bytes]]:
    file = tempfile.SpooledTemporaryFile(KEPT_IN_MEMORY, prefix="seqlm-")  # noqa: SIM115
    try:
        yield file
    finally:
        with contextlib.suppress(OSError):  # the error has been reported
            file.close()


def _keep(values: Iterable[Any], file: IO[bytes]) -> None:
    with readable_file_errors():
        file.writelines(json.dumps(value).encode() + b"\n" for value in values)


def _kept(file: IO[bytes]) -> Iterator[Any]:
    with readable_file_errors():
        file.seek(0)
    yield from map(json.loads, file)


def _prompt(text: str | None, file: str | None, encoding: str) -> str:
    """Return the prompt as it is given, or what is in the file but for a line feed at its end.

    Raises:
        UsageError: both are given.
        TextError: the file cannot be read.
    """
    if file is None:
        return text or ""
    if text is not None:
        raise UsageError("--prompt and --prompt-file are two ways to give the same; leave one of them out")
    from seqlm_core.reading.sources import open_texts
    from seqlm_core.reading.text import read_blocks
    from seqlm_core.settings.arguments import check_encoding

    check_encoding(encoding)
    with open_texts(file) as opened:
        read = "".join(block for path in opened for block in read_blocks(path, encoding))
    # An editor, or echo, ends the last line, and the text should go on in it.
    return re.sub(r"\r?\n\Z", "", read)
