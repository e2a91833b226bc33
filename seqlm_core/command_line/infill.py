"""``seqlm infill``"""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from seqlm_core.command_line.completion import complete_runs
from seqlm_core.command_line.output import Fields, Items, json_pieces, write
from seqlm_core.command_line.plugin_files import load_plugin_files, plugin_option
from seqlm_core.command_line.setting_options import setting_option
from seqlm_core.generation.checks import MOST_SWEEPS, WIDEST_BEAM
from seqlm_core.generation.gaps import DEFAULT_MARK
from seqlm_core.generation.infilling import DEFAULT_SWEEPS
from seqlm_core.settings.decoding_rules import DecodingRules

if TYPE_CHECKING:
    from seqlm_core.generation.infilling import InfilledText


@click.command("infill")
@click.argument("run", metavar="RUN", shell_complete=complete_runs)
@click.argument("text", metavar="TEXT")
@click.option(
    "--gap", type=int, default=1, show_default=True, metavar="N", help="Number of tokens that each mark stands for."
)
@click.option("--mark", default=DEFAULT_MARK, show_default=True, metavar="TEXT", help="Text that marks a gap in TEXT.")
@click.option(
    "--count",
    type=int,
    default=1,
    show_default=True,
    metavar="N",
    help=f"Number of results to print; fewer if fewer are found. At temperature 0 at most {WIDEST_BEAM}.",
)
@click.option(
    "--sweeps",
    type=int,
    default=DEFAULT_SWEEPS,
    show_default=True,
    metavar="N",
    help=f"Number of times that each missing token is drawn again; at most {MOST_SWEEPS}.",
)
@setting_option(
    DecodingRules,
    "temperature",
    default=0.0,
    show_default=True,
    help="Draw the fillings, which get more surprising as X gets higher. 0 searches for the most probable ones.",
)
@click.option(
    "--seed",
    type=int,
    metavar="N",
    help="Seed of the random numbers: the same seed gives the same results.  [default: random; 0 at temperature 0]",
)
@plugin_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON: texts, fillings and log-probabilities in nats.")
def infill_command(
    run: str,
    text: str,
    gap: int,
    mark: str,
    count: int,
    sweeps: int,
    temperature: float,
    seed: int | None,
    plugin_files: tuple[str, ...],
    as_json: bool,
) -> None:
    """Fill the gaps in a text with a bidirectional language model.

    RUN is the directory of a training with a bidirectional cell. TEXT has a mark in the place of each gap.
    """
    import seqlm_core as seqlm

    if seed is None:
        seed = secrets.randbits(63) if temperature else 0
    load_plugin_files(plugin_files)
    opened = seqlm.LanguageRun(run)
    infilled: Iterable[InfilledText] = opened.infill_each(
        text, gap=gap, mark=mark, count=count, sweeps=sweeps, temperature=temperature, seed=seed
    )
    if temperature == 0:  # there may be fewer than are asked for
        infilled = list(infilled)
        count = len(infilled)
    if as_json:
        items = Items(item.to_json() for item in infilled)
        write(json_pieces(Fields({"text": text, "seed": seed, "infilled": items}.items())), at_once=True)
        write("\n")
        return
    for number, item in enumerate(infilled, 1):
        heading = f"--- {number} of {count} ---\n" if count > 1 else ""
        fillings = [f"  {filling.text!r}  {math.exp(filling.log_probability):.4f}\n" for filling in item.fillings]
        write([f"{heading}{item.text}\n", *fillings], at_once=True)
