"""Draws how the validation loss of runs falls with the time, beside figures published of others.

python tests/benchmarks/quality.py RUN... --picture quality.png

RUN is a run directory of a training on tiny Shakespeare, its first 90 % for training. Prints, for each run, when its
validation loss was first below each of the figures, and the lowest.
"""

from __future__ import annotations

import click
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

import seqlm_core as seqlm

# Both of nanoGPT (https://github.com/karpathy/nanoGPT, README): the setting for a laptop, which takes 243 s on two
# cores, and the one for a GPU.
PUBLISHED = {"nanoGPT, setting for a processor": 1.886, "nanoGPT, setting for a GPU": 1.4697}


def curve(run: seqlm.LanguageRun) -> tuple[list[float], list[float]]:
    """Return the seconds trained, and the validation losses in nats per character, after each epoch."""
    epochs = [record for record in run.history() if record["kind"] == "epoch"]
    return [record["seconds"] for record in epochs], [record["validation_nats_per_token"] for record in epochs]


@click.command(help=__doc__)
@click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False))
@click.option("--picture", default="quality.png", show_default=True, help="Where the picture goes.")
def main(runs: tuple[str, ...], picture: str) -> None:
    figure, axes = plt.subplots(figsize=(8, 4.5), constrained_layout=True)
    print("| run | " + " | ".join(f"below {loss}" for loss in PUBLISHED.values()) + " | lowest |")
    print("| --- | " + " | ".join("---" for _ in PUBLISHED) + " | --- |")
    for path in runs:
        run = seqlm.LanguageRun(path)
        seconds, losses = curve(run)
        s = run.settings
        label = f"{s.units} {s.cell}, {s.epochs} epochs"
        axes.plot(seconds, losses, marker=".", label=label)
        reached = []
        for limit in PUBLISHED.values():
            after = next((second for second, loss in zip(seconds, losses) if loss < limit), None)
            reached.append("never" if after is None else f"{after:.0f} s")
        lowest = min(losses)
        print(f"| {label} | {' | '.join(reached)} | {lowest:.4f} after {seconds[losses.index(lowest)]:.0f} s |")
    for name, loss in PUBLISHED.items():
        axes.axhline(loss, linestyle="--", linewidth=1, color="gray")
        axes.annotate(f"{name}: {loss}", (0.01, loss), xycoords=("axes fraction", "data"), va="top")
    axes.set_xlim(left=0)
    axes.set_xlabel("seconds of training")
    axes.set_ylabel("validation loss in nats per character")
    axes.legend(loc="right")
    figure.savefig(picture, dpi=100)
    print(f"\nThe picture is {picture}.")


if __name__ == "__main__":
    main()
