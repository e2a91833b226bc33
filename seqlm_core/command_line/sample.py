"""``seqlm sample``"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import re
import secrets
import sys
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING, Any

import click

from seqlm_core.command_line.completion import complete_files, complete_runs
from seqlm_core.command_line.output import Encoded, Fields, Items, Text, json_pieces, write
from seqlm_core.command_line.output_file import OutputFile, output_file_options
from seqlm_core.command_line.plugin_files import load_plugin_files, plugin_option
from seqlm_core.command_line.setting_options import flag_of, given_settings, setting_options
from seqlm_core.display.bar import Bar, show_no_bars
from seqlm_core.errors import TextError, UsageError
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
@click.option(
    "--jobs",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    metavar="N",
    help="Draw the texts by N processes; 0 is one for each usable core. The texts are the same.",
)
@plugin_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON: texts, tokens and log-probabilities in nats.")
@click.option("--json-lines", is_flag=True, help="Print the same, a line of JSON for each text.")
@output_file_options
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
    jobs: int,
    plugin_files: tuple[str, ...],
    as_json: bool,
    json_lines: bool,
    out: str | None,
    resume: bool,
    **rules: Any,
) -> None:
    """Print texts that a language model writes.

    RUN is the directory of a training.
    """
    import seqlm_core as seqlm

    if stream and (as_json or json_lines or beam or count != 1 or jobs != 1 or out is not None):
        raise UsageError(
            "--stream is for a single text that is drawn and printed, so not with --json, --json-lines, --beam, "
            "--count, --jobs or --out"
        )
    if as_json and json_lines:
        raise UsageError("--json and --json-lines are two ways to print the same; leave one of them out")
    if resume and (beam or not json_lines):
        raise UsageError("--resume goes on with texts that are drawn, a line each; give --json-lines, and no --beam")
    rules = given_settings(rules)
    if beam:
        of_drawing = [*rules, *([] if seed is None else ["seed"]), *(["jobs"] if jobs != 1 else [])]
        if of_drawing:
            raise UsageError(f"{flag_of(of_drawing[0])} is for drawing, and --beam searches for the most probable text")
    if prompt_file is None and context.get_parameter_source("encoding") != click.core.ParameterSource.DEFAULT:
        raise UsageError("--encoding is that of --prompt-file, which is not given")
    file = OutputFile(out, resume)
    if seed is None and not beam:
        seed = secrets.randbits(63) if file.last is None else _seed_of(file)
    load_plugin_files(plugin_files)
    opened = seqlm.LanguageRun(run)
    prompt = _prompt(prompt, prompt_file, encoding)
    on_terminal = sys.stdout is not None and sys.stdout.isatty()
    if on_terminal and out is None:  # what is printed shows how far it is
        show_no_bars()
    at_once = stream if stream is not None else count == 1 and jobs == 1 and out is None and on_terminal
    drawing = {"count": count, "length": length, "stop": stop, "seed": seed, **rules}
    if json_lines:
        line_of = functools.partial(_line_of, {"seed": seed, "prompt": prompt})
        if beam:
            found = opened.generate(prompt, count=count, length=length, beam=beam, stop=stop)
            lines = iter([line_of(number, text) for number, text in enumerate(found)])
        else:
            lines = opened.generate_each(prompt, first=max(0, _texts_in(file) - 1), jobs=jobs, make=line_of, **drawing)
        _write_lines(file, lines, count)
        return
    # What takes time to write of a text is made by the process that draws it.
    whole = _encoded if as_json else _text_alone
    texts: Iterable[Any]
    if beam:
        found = opened.generate(prompt, count=count, length=length, beam=beam, stop=stop)
        count = len(found)
        texts = itertools.starmap(whole, enumerate(found))
    elif jobs != 1:
        texts = opened.generate_each(prompt, jobs=jobs, make=whole, **drawing)
    else:
        streamed = opened.stream_each(prompt, **drawing)
        texts = (Fields(_fields(pieces)) if as_json else (piece.text for piece in pieces) for pieces in streamed)
    with file.opened() as to, Bar("sampling", count if count > 1 else 0) as bar:
        counted = bar.over(texts)
        if as_json:
            fields = {"prompt": prompt, "seed": seed, "samples": Items(counted)}
            write(json_pieces(Fields(fields.items())), stream=to)
            write("\n", stream=to)
            return
        for number, pieces in enumerate(counted, 1):
            if count > 1:
                write(f"--- {number} of {count} ---\n", stream=to)
            write([prompt], at_once, to)
            write(pieces, at_once, to)
            write(["\n"], at_once, to)


def _encoded(_: int, text: GeneratedText) -> Encoded:
    return Encoded(json.dumps(text.to_json(), indent=2))


def _text_alone(_: int, text: GeneratedText) -> list[str]:
    return [text.text]


def _line_of(common: dict[str, Any], number: int, text: GeneratedText) -> str:
    """Return the line of JSON of a text."""
    return json.dumps({"number": number + 1, **common, **text.to_json()}) + "\n"


def _write_lines(file: OutputFile, lines: Iterator[str], count: int) -> None:
    """Write lines after those that are there, with the last of which they begin, if there are any."""
    done = _texts_in(file)
    if done:
        for line in itertools.islice(lines, 1):
            file.check_last(json.loads(line), ["number", "seed", "prompt", "tokens"])
    with file.opened() as to, Bar("sampling", count) as bar:
        bar.advance(done)
        write(bar.over(lines), stream=to)


def _texts_in(file: OutputFile) -> int:
    """Return how many texts are in a file."""
    return 0 if file.last is None else _number_in(file, "number")


def _seed_of(file: OutputFile) -> int:
    return _number_in(file, "seed")


def _number_in(file: OutputFile, name: str) -> int:
    number = (file.last or {}).get(name)
    if type(number) is not int or number < 0:
        raise TextError(f"{file.path} cannot be gone on with: its last line has no {name!r}")
    return number


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
