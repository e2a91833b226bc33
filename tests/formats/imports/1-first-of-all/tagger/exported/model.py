"""A sequence model (bilstm, 1 x 4 units).

    model = load()
    log_probabilities = model(tokens, characters, character_counts, lengths=lengths)

Sequences are side by side, padded at their ends; lengths (batch,) says how long each is.
- tokens are ids (time, batch)
- characters are ids (time, batch, 16), and character_counts (time, batch), at least 1, says how many
The result is (time, batch, 3), in nats.

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
        self.embedding = nn.Embedding(59, 4)
        self.character_embedding = nn.Embedding(35, 4)
        self.character_layer = nn.GRU(4, 4)
        self.layers = nn.ModuleList([
            nn.LSTM(8, 4, bidirectional=True),
        ])
        self.output = nn.Linear(8, 3)

    def forward(self, tokens, characters, character_counts, lengths):
        parts = [self.embedding(tokens)]
        spelt = self.character_embedding(characters.flatten(0, 1).T)  # (16, time * batch, size)
        _, spelt = read(self.character_layer, spelt, character_counts.flatten())
        parts.append(spelt.unflatten(0, tokens.shape))
        hidden = torch.cat(parts, -1)
        for layer in self.layers:
            hidden, _ = read(layer, hidden, lengths)
        return self.output(hidden).log_softmax(-1)


def load(folder=HERE):
    """Return the model with the weights of a folder."""
    model = Model()
    model.load_state_dict(load_file(Path(folder) / "model.safetensors"))
    return model


def save(model, folder=HERE):
    """Write the weights of a model; model.json beside them says what they are."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, Path(folder) / "model.safetensors")
