"""``seqlm infill``"""

from __future__ import annotations

import json
import math
import secrets

import click

from seqlm_core.generation.gaps import DEFAULT_MARK
from seqlm_core.generation.infilling import DEFAULT_SWEEPS


@click.command("infill")
@click.argument("run", metavar="RUN")
@click.argument("text", metavar="TEXT")
@click.option("--gap", type=int, default=1, show_default=True, metavar="N", help="Tokens that each mark stands for.")
@click.option("--mark", default=DEFAULT_MARK, show_default=True, metavar="TEXT", help="What marks a gap in TEXT.")
@click.option(
    "--count", type=int, default=1, show_default=True, metavar="N", help="Fillings to print, if there are so many."
)
@click.option(
    "--sweeps",
    type=int,
    default=DEFAULT_SWEEPS,
    show_default=True,
    metavar="N",
    help="How often each missing token is drawn anew.",
)
@click.option(
    "--temperature",
    type=float,
    default=0.0,
    show_default=True,
    metavar="X",
    help="0 takes the most probable fillings that are found; above 0 they are drawn, the bolder the higher.",
)
@click.option(
    "--seed",
    type=int,
    metavar="N",
    help="The same seed gives the same fillings.  [default: random; 0 at temperature 0]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: texts, fillings, and log-probabilities in nats.")
def infill_command(
    run: str,
    text: str,
    gap: int,
    mark: str,
    count: int,
    sweeps: int,
    temperature: float,
    seed: int | None,
    as_json: bool,
) -> None:
    """Print TEXT with its gaps filled by RUN, the directory of a training with a bidirectional cell."""
    import seqlm_core as seqlm

    if seed is None:
        seed = secrets.randbits(63) if temperature else 0
    infilled = seqlm.Run(run).infill(
        text, gap=gap, mark=mark, count=count, sweeps=sweeps, temperature=temperature, seed=seed
    )
    if as_json:
        texts = [item.to_json() for item in infilled]
        click.echo(json.dumps({"text": text, "seed": seed, "infilled": texts}, indent=2))
        return
    for number, item in enumerate(infilled, 1):
        if len(infilled) > 1:
            click.echo(f"--- {number} of {len(infilled)} ---")
        click.echo(item.text)
        for filling in item.fillings:
            click.echo(f"  {filling.text!r}  {math.exp(filling.log_probability):.4f}")
