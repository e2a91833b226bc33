"""The same model in PyTorch, with the same weights. Runs where PyTorch is installed: ``pytest -m torch``."""

from __future__ import annotations

import numpy as np
import pytest
from test_numbers import BATCH, CELLS, INPUTS, TIME, losses_of, make_model, window

from seqlm_core.engine.mxnet import autograd
from seqlm_core.model.build import weights_of
from seqlm_core.model.initialization import unique_parameters

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

NAMES = {"weight_ih": "i2h_weight", "weight_hh": "h2h_weight", "bias_ih": "i2h_bias", "bias_hh": "h2h_bias"}


class TorchModel(torch.nn.Module):
    """Embedding, ``torch.nn`` recurrent layers for each direction, and a projection; named as the product's."""

    def __init__(self, cell, architecture, weights):
        super().__init__()
        self.a = architecture
        kind = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell.replace("bi", "")]
        size = architecture.embedding_size or architecture.vocabulary_size
        self.stacks = torch.nn.ModuleDict()
        for direction in ["forward", "backward"][: 1 + architecture.bidirectional]:
            stack = kind(size, architecture.hidden_size, architecture.layers).double()
            for layer in range(architecture.layers):
                for theirs, ours in NAMES.items():
                    value = torch.tensor(weights[f"{direction}_stack.{layer}.{ours}"])
                    getattr(stack, f"{theirs}_l{layer}").data = value
            self.stacks[f"{direction}_stack"] = stack
        rest = {n: torch.nn.Parameter(torch.tensor(w)) for n, w in weights.items() if "_stack" not in n}
        self.rest = torch.nn.ParameterDict({name.replace(".", "_"): value for name, value in rest.items()})

    def embed(self, tokens):
        if self.a.embedding_size:
            return self.rest["input_weight"][tokens]
        return torch.nn.functional.one_hot(tokens, self.a.vocabulary_size).double()

    def losses(self, tokens):
        left, _ = self.stacks["forward_stack"](self.embed(tokens[:-1]))
        weight = self.rest["input_weight" if self.a.tie_weights else "head_weight"]
        scores = left @ weight[:, : self.a.hidden_size].T + self.rest["head_bias"]
        if self.a.bidirectional:
            right, _ = self.stacks["backward_stack"](self.embed(tokens[2:].flip(0)))
            right = torch.cat([right.flip(0), torch.zeros_like(right[:1])])
            scores = scores + right @ weight[:, -self.a.hidden_size :].T
        return torch.nn.functional.cross_entropy(scores.permute(0, 2, 1), tokens[1:], reduction="none")

    def gradients(self):
        found = {name.replace("_", ".", 1): value.grad for name, value in self.rest.items()}
        for direction, stack in self.stacks.items():
            for layer in range(self.a.layers):
                for theirs, ours in NAMES.items():
                    found[f"{direction}.{layer}.{ours}"] = getattr(stack, f"{theirs}_l{layer}").grad
        return {name: value.numpy() for name, value in found.items()}


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("cell", CELLS)
def test_loss_and_gradients_agree_with_torch(cell, kind):
    model = make_model(cell, layers=2, **INPUTS[kind])
    tokens = window()
    with autograd.record():
        losses, _ = losses_of(model, tokens, pattern=np.ones((TIME, BATCH)))
        total = losses.sum()
    total.backward()
    in_torch = TorchModel(cell, model.architecture, weights_of(model))
    torch_losses = in_torch.losses(torch.tensor(tokens))
    torch_losses.sum().backward()
    np.testing.assert_allclose(losses.asnumpy(), torch_losses.detach().numpy(), rtol=1e-10)
    gradients = in_torch.gradients()
    for name, parameter in unique_parameters(model).items():
        np.testing.assert_allclose(parameter.grad().asnumpy(), gradients[name], rtol=0, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("hidden_size", [33, 100])
@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("cell", CELLS)
def test_the_kernels_of_float32_agree_with_torch(cell, kind, hidden_size):
    model = make_model(cell, dtype="float32", layers=2, hidden_size=hidden_size, **INPUTS[kind])
    for parameter in unique_parameters(model).values():
        parameter.set_data(parameter.data() / np.sqrt(parameter.shape[-1]))
    tokens = window()
    with autograd.record():
        losses, _ = losses_of(model, tokens, pattern=np.ones((TIME, BATCH)))
        total = losses.sum()
    total.backward()
    in_torch = TorchModel(cell, model.architecture, {name: w.astype(float) for name, w in weights_of(model).items()})
    torch_losses = in_torch.losses(torch.tensor(tokens))
    torch_losses.sum().backward()
    np.testing.assert_allclose(losses.asnumpy(), torch_losses.detach().numpy(), rtol=1e-4)
    gradients = in_torch.gradients()
    for name, parameter in unique_parameters(model).items():
        largest = np.abs(gradients[name]).max()
        np.testing.assert_allclose(
            parameter.grad().asnumpy(), gradients[name], rtol=0, atol=1e-4 * largest, err_msg=name
        )
