"""Train a small model on a text, measure it, and sample from it: the Python API in one page.

python docs/examples/train_and_sample.py
python docs/examples/train_and_sample.py novel.txt --cell gru --epochs 20
"""

import argparse
import tempfile
from pathlib import Path

import seqlm_core as seqlm

SAMPLE_TEXT = Path(__file__).resolve().parents[2] / "data" / "input.txt"


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a small language model, measure it, and sample from it.")
    parser.add_argument("text", nargs="?", default=SAMPLE_TEXT, help="a text file; the sample text without it")
    parser.add_argument("--out", help="directory in which to keep the run; without it, the run is removed")
    parser.add_argument("--cell", default="lstm")
    parser.add_argument("--hidden-size", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--length", type=int, default=300, help="tokens to sample")
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        run = seqlm.train(
            arguments.text,
            out=arguments.out or Path(folder) / "run",
            cell=arguments.cell,
            hidden_size=arguments.hidden_size,
            epochs=arguments.epochs,
            quiet=True,
        )

        print("epoch  training  validation   (nats per token)")
        for record in run.history():
            if record["kind"] == "epoch":
                mark = "best so far" if record["best"] else ""
                training, validation = record["training_nats_per_token"], record["validation_nats_per_token"]
                print(f"{record['epoch']:5g}  {training:8.4f}  {validation:10.4f}   {mark}")

        (evaluation,) = run.evaluate(arguments.text)
        print(f"\nThe whole text: {evaluation.nats_per_token:.4f} nats per token,", end=" ")
        print(f"perplexity {evaluation.perplexity:.3f}, {evaluation.tokens:,} tokens predicted")

        for temperature in (0.4, 0.8):
            print(f"\nA sample at temperature {temperature}:")
            print(run.sample("The ", arguments.length, temperature, seed=1))


if __name__ == "__main__":
    try:
        main()
    except seqlm.SeqlmError as error:
        raise SystemExit(f"error: {error}") from error
