"""A sequence model (lstm, 1 x 8 units).

    model = load()
    values = model(values, lengths=lengths)

Sequences are side by side, padded at their ends; lengths (batch,) says how long each is.
- values are (time, batch, channels), standardized as model.json says: (value - mean) / scale
The result is (time, batch, 1), standardized too: value * scale + mean.

Written by seqlm 0.1.0. model.json has what inputs and outputs mean. "seqlm import" makes a run of this folder.
Needs torch and safetensors.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

HERE = Path(__file__).parent


def read(layer, inputs, lengths):
    """Return the outputs (time, batch, size) of a layer, and those after whole sequences (batch, size)."""
    packed, last = layer(pack_padded_sequence(inputs, lengths.cpu(), enforce_sorted=False))
    outputs, _ = pad_packed_sequence(packed, total_length=len(inputs))
    last = last[0] if isinstance(last, tuple) else last
    return outputs, torch.cat(list(last), -1)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([
            nn.LSTM(1, 8),
        ])
        self.output = nn.Linear(8, 1)

    def forward(self, values, lengths):
        hidden = values
        for layer in self.layers:
            hidden, _ = read(layer, hidden, lengths)
        return self.output(hidden)


def load(folder=HERE):
    """Return the model with the weights of a folder."""
    model = Model()
    model.load_state_dict(load_file(Path(folder) / "model.safetensors"))
    return model


def save(model, folder=HERE):
    """Write the weights of a model; model.json beside them says what they are."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, Path(folder) / "model.safetensors")
