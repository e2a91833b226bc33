"""Define a recurrent cell, the minimal gated unit (Zhou et al. 2016), and train with it in the same program.

``f = s(W_f x + U_f h)``, ``c = tanh(W_c x + U_c (f * h))``, ``h' = (1 - f) h + f c``: one gate, where a GRU has two.

    python docs/examples/own_cell.py
    python docs/examples/own_cell.py novel.txt --hidden-size 256 --epochs 20
"""

import argparse
import sys
import tempfile
from pathlib import Path

import seqlm_core as seqlm

SAMPLE_TEXT = Path(__file__).resolve().parents[2] / "data" / "input.txt"


def build(input_size, hidden_size, options):
    """Return one layer in one direction. MXNet is imported here, so that importing the module is quick."""
    from seqlm_core.mxnet import gluon

    class MinimalGatedUnit(gluon.rnn.HybridRecurrentCell):
        def __init__(self):
            super().__init__()
            with self.name_scope():
                self.i2h_weight = self.params.get("i2h_weight", shape=(2 * hidden_size, input_size))
                self.i2h_bias = self.params.get("i2h_bias", shape=(2 * hidden_size,), init="zeros")
                self.gate_weight = self.params.get("gate_weight", shape=(hidden_size, hidden_size))
                self.candidate_weight = self.params.get("candidate_weight", shape=(hidden_size, hidden_size))

        def state_info(self, batch_size=0):
            return [{"shape": (batch_size, hidden_size), "__layout__": "NC"}]

        def hybrid_forward(self, F, x, states, i2h_weight, i2h_bias, gate_weight, candidate_weight):
            (h,) = states
            from_input = F.FullyConnected(x, i2h_weight, i2h_bias, num_hidden=2 * hidden_size)
            to_gate, to_candidate = F.split(from_input, num_outputs=2, axis=1)
            f = F.sigmoid(to_gate + F.FullyConnected(h, gate_weight, no_bias=True, num_hidden=hidden_size))
            recalled = F.FullyConnected(f * h, candidate_weight, no_bias=True, num_hidden=hidden_size)
            h = h + f * (F.tanh(to_candidate + recalled) - h)
            return h, [h]

    return MinimalGatedUnit()


@seqlm.hookimpl
def seqlm_cells():
    return seqlm.CellSpec("mgu", "minimal gated unit", build)


def main():
    parser = argparse.ArgumentParser(description="Train the minimal gated unit and sample from it.")
    parser.add_argument("text", nargs="?", default=SAMPLE_TEXT, help="a text file; the sample text without it")
    parser.add_argument("--hidden-size", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=5)
    arguments = parser.parse_args()

    seqlm.installed_plugins().register(sys.modules[__name__])
    with tempfile.TemporaryDirectory() as folder:
        sizes = {"hidden_size": arguments.hidden_size, "epochs": arguments.epochs}
        run = seqlm.train(arguments.text, out=Path(folder) / "run", cell="mgu", quiet=True, **sizes)
        losses = [record["validation_nats_per_token"] for record in run.history() if record["kind"] == "epoch"]
        print(f"validation loss {losses[0]:.4f} nats after the first epoch, {min(losses):.4f} at its best\n")
        print(run.sample("The ", length=200, seed=1))


if __name__ == "__main__":
    main()
