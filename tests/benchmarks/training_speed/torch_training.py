"""The training in PyTorch, in the way that is fastest for the model."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from training_speed.contestant import Peer, fastest_product
from training_speed.model import LARGEST_NORM, LEARNING_RATE, Model

PARAMETERS = {"weight_ih": "i2h_weight", "weight_hh": "h2h_weight", "bias_ih": "i2h_bias", "bias_hh": "h2h_bias"}


@dataclasses.dataclass(frozen=True)
class TorchWay:
    """What there is to choose in PyTorch."""

    mkldnn: bool = True
    adam: str = "fused"
    autocast: bool = False


class TorchTraining:
    """The same training in PyTorch.

    Args:
        model: what to train.
        ids: what to train on.
        way: how.
        weights: to begin with, by seqlm's names.
    """

    def __init__(self, model: Model, ids: np.ndarray, way: TorchWay, weights: dict[str, np.ndarray]) -> None:
        torch.set_flush_denormal(True)  # never slower, and now and then much faster
        torch.backends.mkldnn.set_flags(way.mkldnn)
        self._clip = torch.nn.utils.clip_grad_norm_
        self._loss = torch.nn.functional.cross_entropy
        kind = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[model.cell]
        self._embedding = torch.nn.Embedding(model.vocabulary, model.units)
        self._recurrent = kind(model.units, model.units, model.layers)
        self._output = torch.nn.Linear(model.units, model.vocabulary)
        modules = torch.nn.ModuleList([self._embedding, self._recurrent, self._output])
        self._take(weights, model.layers)
        self.parameters = list(modules.parameters())
        self.optimizer = torch.optim.Adam(self.parameters, LEARNING_RATE, **{way.adam: True})
        windows = model.windows(ids)
        self._windows = torch.tensor(windows, dtype=torch.int64)
        self._window = 0
        self._states: Any = None
        self._autocast = way.autocast

    def run(self, steps: int) -> Any:
        """Take so many steps, and return the loss of the last."""
        for _ in range(steps):
            if self._window == len(self._windows):
                self._window, self._states = 0, None
            window = self._windows[self._window]
            self._window += 1
            self.optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=self._autocast):
                outputs, states = self._recurrent(self._embedding(window[:-1]), self._states)
                loss = self._loss(self._output(outputs).flatten(0, 1), window[1:].flatten())
            self._states = tuple(state.detach() for state in states) if type(states) is tuple else states.detach()
            loss.backward()
            self._clip(self.parameters, LARGEST_NORM, foreach=True)
            self.optimizer.step()
        return loss.detach()

    def _take(self, weights: dict[str, np.ndarray], layers: int) -> None:
        pairs = {
            self._embedding.weight: "input.weight",
            self._output.weight: "head.weight",
            self._output.bias: "head.bias",
        }
        for layer, (theirs, ours) in itertools.product(range(layers), PARAMETERS.items()):
            pairs[getattr(self._recurrent, f"{theirs}_l{layer}")] = f"forward_stack.{layer}.{ours}"
        with torch.no_grad():
            for parameter, name in pairs.items():
                parameter.copy_(torch.from_numpy(weights[name]))


class TorchContestant(Peer):
    """Trains with PyTorch."""

    new_training = TorchTraining

    def __init__(self, threads: int) -> None:
        torch.set_num_threads(threads)

    def versions(self) -> dict[str, str]:
        return {"PyTorch": torch.__version__}

    def ways(self, model: Model) -> list[TorchWay]:
        autocast = (True, False) if model.precision == "bfloat16" else (False,)
        return [TorchWay(*way) for way in itertools.product((True, False), ("fused", "foreach"), autocast)]

    def peak(self) -> dict[str, float]:
        def product(rows: int, columns: int, inner: int) -> Callable[[], None]:
            left, right = torch.rand(rows, inner), torch.rand(inner, columns)
            return lambda: torch.mm(left, right)

        found = {}
        for mkldnn, name in {True: "PyTorch", False: "PyTorch without oneDNN"}.items():
            torch.backends.mkldnn.set_flags(mkldnn)
            found[name] = fastest_product(product)
        return found
