"""``seqlm sample``"""

from __future__ import annotations

import click

from seqlm_core.generation.decoding import DEFAULT_TEMPERATURE
from seqlm_core.generation.generate import DEFAULT_LENGTH


@click.command("sample")
@click.argument("run", metavar="RUN")
@click.option("--prompt", default="", metavar="TEXT", help="Text to continue; it is printed first.")
@click.option("--length", type=int, default=DEFAULT_LENGTH, show_default=True, metavar="N", help="Tokens to add.")
@click.option(
    "--temperature",
    type=float,
    default=DEFAULT_TEMPERATURE,
    show_default=True,
    metavar="X",
    help="Below 1 more probable, above 1 more surprising text; 0 takes the most probable token.",
)
@click.option("--seed", type=int, metavar="N", help="The same seed gives the same text.  [default: random]")
def sample_command(run: str, prompt: str, length: int, temperature: float, seed: int | None) -> None:
    """Print a text sampled from RUN, the directory of a training."""
    import seqlm_core as seqlm

    click.echo(seqlm.Run(run).sample(prompt, length, temperature, seed))
