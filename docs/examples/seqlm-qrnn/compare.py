"""Compare qrnn with gru on one text: validation loss, and time per training step.

    python compare.py ../../../data/input.txt
    python compare.py novel.txt --seeds 1 --epochs 5 --picture loss.png

Set OMP_NUM_THREADS=1 for times that other programs on the machine disturb less.
"""

import argparse
import tempfile
import time

import seqlm_core as seqlm
from seqlm_core import mxnet  # noqa: F401 - imported here, so that no training's time holds it

# The second gru of each number of layers has as many weights as qrnn on a text of 59 characters.
MODELS = [("gru", 1, 128), ("gru", 1, 100), ("qrnn", 1, 128), ("gru", 2, 128), ("gru", 2, 117), ("qrnn", 2, 128)]
COLOURS = {"gru": "tab:blue", "qrnn": "tab:red"}


def train(text, cell, layers, hidden_size, epochs, dropout, seed):
    """Return the validation losses of a training, its processor time per step in milliseconds, and its weights."""
    settings = {"epochs": epochs, "dropout": dropout, "seed": seed, "quiet": True}
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        run = seqlm.train(
            text, cell=cell, layers=layers, hidden_size=hidden_size, out=f"{folder}/run", sample_every=0, **settings
        )
        seconds = time.process_time() - began
        records = [record for record in run.history() if record["kind"] == "epoch"]
        weights = sum(array.size for array in run.weights.values())
    losses = [record["validation_nats_per_token"] for record in records]
    return losses, 1000 * seconds / records[-1]["step"], weights


def draw(curves, path):
    """Draw the validation losses: ``curves`` maps (cell, layers, units) to one list of losses for each seed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, layers in ((left, 1), (right, 2)):
        for (cell, depth, units), of_seeds in curves.items():
            if depth == layers:
                epochs = range(1, len(of_seeds[0]) + 1)
                mean = [sum(losses) / len(losses) for losses in zip(*of_seeds)]
                style = "-" if units == 128 else "--"
                axes.plot(epochs, mean, style, color=COLOURS[cell], label=f"{cell}, {units} units")
                lowest, highest = ([pick(losses) for losses in zip(*of_seeds)] for pick in (min, max))
                axes.fill_between(epochs, lowest, highest, color=COLOURS[cell], alpha=0.15, linewidth=0)
        axes.set(title=f"{layers} layer{'s' * (layers > 1)}", xlabel="epochs", ylim=(1.5, 2.2))
        axes.grid(alpha=0.3)
        axes.legend()
    left.set_ylabel("validation loss (nats per character)")
    figure.savefig(path, dpi=100)


def main():
    parser = argparse.ArgumentParser(description="Compare qrnn with gru on one text.")
    parser.add_argument("text")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--dropout", type=float, help="instead of what seqlm chooses from the size of the text")
    parser.add_argument("--picture", metavar="FILE", help="draw the losses into this file")
    arguments = parser.parse_args()

    curves = {}
    print("cell  layers  units  weights  best loss (mean, lowest, highest)  ms per step")
    for cell, layers, units in MODELS:
        trainings = [
            train(arguments.text, cell, layers, units, arguments.epochs, arguments.dropout, seed)
            for seed in range(1, arguments.seeds + 1)
        ]
        curves[cell, layers, units] = [losses for losses, _, _ in trainings]
        best = [min(losses) for losses, _, _ in trainings]
        spread = f"{sum(best) / len(best):.4f}  {min(best):.4f}  {max(best):.4f}"
        fastest = min(milliseconds for _, milliseconds, _ in trainings)
        print(f"{cell:4}  {layers:6}  {units:5}  {trainings[0][2]:7,}  {spread}  {fastest:.1f}", flush=True)
    if arguments.picture:
        draw(curves, arguments.picture)


if __name__ == "__main__":
    main()
