"""The same networks in PyTorch, on packed sequences, with the same weights. Runs where PyTorch is installed."""

from __future__ import annotations

import numpy as np
import pytest
from sequence_reference import CELLS, OUTPUTS, encoded, losses_and_gradients, make_network, outputs_of, whole_batch

from seqlm_core.model.build import weights_of

torch = pytest.importorskip("torch")
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence  # noqa: E402 - only where PyTorch is

pytestmark = pytest.mark.torch

PARTS = {"weight_ih": "i2h_weight", "weight_hh": "h2h_weight", "bias_ih": "i2h_bias", "bias_hh": "h2h_bias"}
DIRECTIONS = {"": "forward_stack", "_reverse": "backward_stack"}


class TorchNetwork(torch.nn.Module):
    """Embeddings, one recurrent module of all layers and directions that reads packed sequences, and a projection."""

    def __init__(self, cell, architecture, weights):
        super().__init__()
        self.a = architecture
        kind = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell.replace("bi", "")]
        size = architecture.embedding_size or architecture.input_size
        layers, both = architecture.layers, architecture.bidirectional
        self.layers = kind(size, architecture.hidden_size, layers, bidirectional=both).double()
        self.named = {
            f"encoder.{stack}.{layer}.{ours}": getattr(self.layers, f"{theirs}_l{layer}{suffix}")
            for suffix, stack in list(DIRECTIONS.items())[: 1 + both]
            for layer in range(layers)
            for theirs, ours in PARTS.items()
        }
        for name, parameter in self.named.items():
            parameter.data = torch.tensor(weights[name])
        self.named.update({n: torch.tensor(w, requires_grad=True) for n, w in weights.items() if n not in self.named})

    def forward(self, inputs, lengths):
        """Return log-probabilities or values, ``(time, batch, size)`` or ``(batch, size)``."""
        read = self.named["input.weight"][inputs.long()] if self.a.inputs == "tokens" else inputs.double()
        packed, last = self.layers(pack_padded_sequence(read, lengths, enforce_sorted=False))
        hidden, _ = pad_packed_sequence(packed)
        if self.a.outputs == "label":
            # The hidden states after the whole sequence, of the top layer's directions.
            last = last[0] if isinstance(last, tuple) else last
            hidden = torch.cat(list(last[-1 - self.a.bidirectional :]), dim=1)
        scores = hidden @ self.named["head.weight"].T + self.named["head.bias"]
        return scores if self.a.outputs == "values" else scores.log_softmax(dim=-1)

    def losses(self, outputs, targets):
        if self.a.outputs == "values":
            return (outputs - targets).square().mean(dim=-1)
        return -outputs.gather(-1, targets.long()[..., None])[..., 0]


@pytest.mark.parametrize("outputs", OUTPUTS)
@pytest.mark.parametrize("inputs", ["embedded", "values"])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_outputs_and_gradients_agree_with_packed_sequences(cell, layers, inputs, outputs):
    network, sequences = make_network(cell, inputs, outputs, layers), encoded(inputs, outputs, [4, 1, 7, 2, 6])
    batch = whole_batch(sequences)
    losses, gradients = losses_and_gradients(network, whole_batch(sequences, time=9, columns=8))

    in_torch = TorchNetwork(cell, network.architecture, weights_of(network))
    torch_outputs = in_torch(torch.tensor(batch.inputs[0]), torch.tensor(batch.lengths))
    torch_losses = in_torch.losses(torch_outputs, torch.tensor(batch.targets)) * torch.tensor(batch.counted)
    torch_losses.sum().backward()

    for column, found in enumerate(outputs_of(network, batch)):
        expected = torch_outputs[column] if outputs == "label" else torch_outputs[: len(found), column]
        np.testing.assert_allclose(found, expected.detach().numpy(), rtol=0, atol=1e-12)
    same_places = tuple(slice(n) for n in torch_losses.shape)
    np.testing.assert_allclose(losses[same_places], torch_losses.detach().numpy(), rtol=0, atol=1e-12)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, in_torch.named[name].grad.numpy(), rtol=0, atol=1e-10, err_msg=name)
