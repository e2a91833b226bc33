"""A language model (lstm, 1 x 8 units).

    model = load()
    log_probabilities, states = model(ids)  # ids (time, batch), log-probabilities (time, batch, 104)

Written by seqlm 0.1.0. model.json has the vocabulary and the settings. "seqlm import" makes a run of this folder.
Needs torch and safetensors.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

HERE = Path(__file__).parent


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(104, 6)
        self.layers = nn.ModuleList([
            nn.LSTM(6, 8),
        ])
        self.output = nn.Linear(8, 6)
        self.clusters = nn.ModuleList([
            nn.Sequential(nn.Linear(8, 2), nn.Linear(2, 16)),
            nn.Sequential(nn.Linear(8, 1), nn.Linear(1, 84)),
        ])

    def embed(self, ids):
        return self.embedding(ids)

    def predict(self, hidden):
        """Return log-probabilities in nats (..., 104) for what the layers made, (..., 8)."""
        first = self.output(hidden).log_softmax(-1)  # 4 tokens and 2 clusters of the others
        parts = [first[..., :4]]
        for number, cluster in enumerate(self.clusters):
            within = cluster(hidden).log_softmax(-1)
            parts.append(first[..., 4 + number, None] + within)
        return torch.cat(parts, -1)

    def read(self, layers, ids, states=None):
        """Return what the last layer makes of each token, and the states of all layers."""
        hidden, after = self.embed(ids), []
        for number, layer in enumerate(layers):
            hidden, state = layer(hidden, None if states is None else states[number])
            after.append(state)
        return hidden, after

    def forward(self, ids, states=None):
        """Return log-probabilities of the token after each, from what is left of it, and the states to go on with."""
        hidden, after = self.read(self.layers, ids, states)
        return self.predict(hidden), after


def load(folder=HERE):
    """Return the model with the weights of a folder."""
    model = Model()
    model.load_state_dict(load_file(Path(folder) / "model.safetensors"))
    return model


def save(model, folder=HERE):
    """Write the weights of a model; model.json beside them says what they are."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, Path(folder) / "model.safetensors")
