"""States that begin afresh within a window, for any layer: those of each stretch are as if it were read alone."""

from __future__ import annotations

import numpy as np
import pytest

import seqlm_core as seqlm
from seqlm_core.engine.mxnet import autograd, gluon, mx, nd
from seqlm_core.model.architecture import LanguageArchitecture
from seqlm_core.model.build import build_language_network
from seqlm_core.model.graphs import LeftReading, RightReading
from seqlm_core.model.initialization import initialize, unique_parameters
from seqlm_core.native.training import MXNET, available_backends, chosen_backend
from seqlm_core.plugins.components import Component
from seqlm_core.plugins.options import make_options
from seqlm_core.plugins.registry import THIS_PROGRAM

TIME, BATCH, VOCABULARY = 9, 4, 7
BACKENDS = [MXNET, available_backends()[-1]]


class Averaging(gluon.HybridBlock):
    """A sequence layer with a state that begins with other numbers than 0, of another shape than the outputs."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.hidden_size = hidden_size
        self.weight = self.params.get("weight", shape=(hidden_size, input_size))

    def begin_state(self, batch_size, ctx=None, dtype="float32"):
        return [mx.nd.full((batch_size, 1, self.hidden_size), 0.7, ctx=ctx, dtype=dtype)]

    def hybrid_forward(self, F, inputs, states, weight):
        read = F.FullyConnected(inputs, weight, no_bias=True, num_hidden=self.hidden_size, flatten=False)

        def step(value, before):
            after = [F.tanh(before[0] * 0.5 + value.expand_dims(1))]
            return F.sum(after[0], axis=1), after

        return F.contrib.foreach(step, read, states)


class OneStep(gluon.rnn.HybridRecurrentCell):
    """A cell of one step, with two states."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.hidden_size = hidden_size
        self.weight = self.params.get("weight", shape=(hidden_size, input_size))

    def state_info(self, batch_size=0):
        return [{"shape": (batch_size, self.hidden_size), "__layout__": "NC"}] * 2

    def hybrid_forward(self, F, inputs, states, weight):
        read = F.FullyConnected(inputs, weight, no_bias=True, num_hidden=self.hidden_size)
        first = F.tanh(read + states[0] - 0.5 * states[1])
        return first + states[1], [first, states[0]]


OWN = {"sequence layer": Averaging, "one step": OneStep}
CELLS = [*((cell, "left") for cell in ["rnn", "gru", "lstm", "bilstm", *OWN]), ("bilstm", "right")]


def network_of(name, embedding_size=0):
    if name in OWN:
        spec = seqlm.CellSpec("own", "own", lambda size, hidden, options: OWN[name](size, hidden))
    else:
        spec = seqlm.installed_plugins().cells.get(name)
    architecture = LanguageArchitecture(VOCABULARY, 6, 2, embedding_size, spec.bidirectional, False)
    network = build_language_network(architecture, Component(spec, make_options(spec, {}), THIS_PROGRAM))
    initialize(network, 1, mx.cpu())
    return network


def read_in_stretches(read, tokens, before, begin, states):
    """Return the hidden vectors and the last states, each stretch between two resets read by itself."""
    columns, ends = [], []
    for stream in range(BATCH):
        own = [[state[stream : stream + 1] for state in layer] for layer in states]
        cuts = [0, *(t for t in range(1, TIME) if before[t, stream]), TIME]
        parts = []
        for first, last in zip(cuts, cuts[1:]):
            if before[first, stream]:
                own = begin(1)
            hidden, own = read(nd.array(tokens[first:last, stream : stream + 1], dtype="int32"), own, last - first)
            parts.append(hidden)
        columns.append(nd.concat(*parts, dim=0))
        ends.append(own)
    after = [[nd.concat(*arrays, dim=0) for arrays in zip(*layers)] for layers in zip(*ends)]
    return nd.concat(*columns, dim=1), after


def computed(network, read):
    """Return outputs and gradients of a random function of what is read."""
    parameters = {n: p for n, p in unique_parameters(network).items() if p.grad_req != "null"}
    for parameter in parameters.values():
        parameter.zero_grad()
    with autograd.record():
        hidden, states = read()
        outputs = [hidden, *(state for layer in states for state in layer)]
        random = np.random.default_rng(5)
        total = sum((output * nd.array(random.normal(size=output.shape))).sum() for output in outputs)
    total.backward()
    return [output.asnumpy() for output in outputs] + [parameter.grad().asnumpy() for parameter in parameters.values()]


@pytest.mark.parametrize("hybridized", [True, False])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("cell", "direction"), CELLS)
def test_each_stretch_between_resets_is_as_if_it_were_read_alone(cell, backend, hybridized, direction):
    network = network_of(cell, embedding_size=3 if hybridized else 0)
    random = np.random.default_rng(2)
    tokens = random.integers(0, VOCABULARY, (TIME, BATCH))
    before = (random.random((TIME, BATCH)) < 0.3).astype(np.int32)
    before[0] = [1, 0, 0, 1]
    before[:, 2] = 0  # a stream without any
    if direction == "left":
        begin, reset, alone, graph = network.begin_state, network.reset_states, network.read_left, LeftReading
    else:
        begin, reset = network.begin_backward_state, network.backward_reset_states
        alone, graph = network.read_right, RightReading
    states = [[state + nd.array(random.normal(size=state.shape)) for state in layer] for layer in begin(BATCH)]
    with chosen_backend(backend):
        block = graph(network, TIME)
        block.hybridize(hybridized)
        resets = [nd.array(before, dtype="int32"), reset(BATCH)]
        found = computed(network, lambda: block(nd.array(tokens, dtype="int32"), states, resets))
        expected = computed(network, lambda: read_in_stretches(alone, tokens, before, begin, states))
    assert len(found) == len(expected)
    for one, other in zip(found, expected):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
