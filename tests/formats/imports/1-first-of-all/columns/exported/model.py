"""A sequence model (bilstm, 1 x 4 units).

    model = load()
    scores = model(tokens, columns, vectors, lengths=lengths)

Sequences are side by side, padded at their ends; lengths (batch,) says how long each is.
- tokens are ids (time, batch)
- columns a list of the ids of each further column (time, batch), shapes being the last
- vectors a list of the vectors of each source (time, batch, size)
The result is (time, batch, 3): scores in nats, of which decode() makes labels.

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
        self.embedding = nn.Embedding(10, 3)
        self.column_embeddings = nn.ModuleList([nn.Embedding(11, 3), nn.Embedding(9, 3)])
        self.layers = nn.ModuleList([
            nn.LSTM(9, 4, bidirectional=True),
        ])
        self.output = nn.Linear(8, 3)
        # The scores of labels at the beginning, of each after another, and at the end.
        self.first = nn.Parameter(torch.zeros(3))
        self.transitions = nn.Parameter(torch.zeros(3, 3))
        self.last = nn.Parameter(torch.zeros(3))

    def forward(self, tokens, columns, vectors, lengths):
        parts = [self.embedding(tokens) + vectors[0]]
        parts += [embed(ids) for embed, ids in zip(self.column_embeddings, columns)]
        hidden = torch.cat(parts, -1)
        for layer in self.layers:
            hidden, _ = read(layer, hidden, lengths)
        return self.output(hidden)

    def decode(self, scores, lengths):
        """Return the best sequence of labels of each sequence, as lists of ids (Viterbi)."""
        found = []
        for column, length in enumerate(lengths.tolist()):
            rows = scores[:length, column]
            total, before = self.first + rows[0], []
            for row in rows[1:]:
                highest, places = (total[:, None] + self.transitions).max(0)
                before.append(places)
                total = highest + row
            path = [int((total + self.last).argmax())]
            for places in reversed(before):
                path.append(int(places[path[-1]]))
            found.append(path[::-1])
        return found


def load(folder=HERE):
    """Return the model with the weights of a folder."""
    model = Model()
    model.load_state_dict(load_file(Path(folder) / "model.safetensors"))
    return model


def save(model, folder=HERE):
    """Write the weights of a model; model.json beside them says what they are."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, Path(folder) / "model.safetensors")
