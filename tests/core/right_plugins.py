"""Plugins that do what they have to, as small as can be; the wrong ones are made of them."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np

import seqlm_core as seqlm
from seqlm_core.engine.mxnet import gluon, mx
from seqlm_core.model.recurrent_layer import RecurrentLayer


class Unit(gluon.rnn.HybridRecurrentCell):
    """One step of ``h' = tanh(W x + U h + b)``."""

    weight_init: Any = None

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.hidden_size = hidden_size
        with self.name_scope():
            self.i2h = self.params.get("i2h_weight", shape=(hidden_size, input_size), init=self.weight_init)
            self.h2h = self.params.get("h2h_weight", shape=(hidden_size, hidden_size), init=self.weight_init)
            self.bias = self.params.get("bias", shape=(hidden_size,), init="zeros")

    def state_info(self, batch_size=0):
        return [{"shape": (batch_size, self.hidden_size), "__layout__": "NC"}]

    def _alias(self):
        return "unit"

    def hybrid_forward(self, F, x, states, i2h, h2h, bias):
        return self.after(F, x, F.tanh(self.total(F, x, states[0], i2h, h2h, bias)))

    def total(self, F, x, h, i2h, h2h, bias):
        from_state = F.FullyConnected(h, h2h, no_bias=True, num_hidden=self.hidden_size)
        return F.FullyConnected(x, i2h, bias, num_hidden=self.hidden_size) + from_state

    def after(self, F, x, h):
        """Return output and states."""
        return h, [h]


def unit_step(weights, inputs, states, options):
    total = inputs @ weights["i2h"].T + weights["bias"]
    hidden = np.tanh(total + states[0] @ weights["h2h"].T if states else total)
    return hidden, (hidden,)


class Layer(RecurrentLayer):
    """A sequence layer."""

    mode = "rnn_tanh"

    def __init__(self, input_size, hidden_size):
        super().__init__(self.mode, input_size, hidden_size)

    def hybrid_forward(self, F, inputs, states, **weights):
        return self.after(F, *super().hybrid_forward(F, *self.before(F, inputs, states), **weights))

    def before(self, F, inputs, states):
        return inputs, states

    def after(self, F, outputs, states):
        return outputs, states


class Noisy(Unit):
    """Draws from MXNet's random numbers in training."""

    def total(self, F, x, h, i2h, h2h, bias):
        return super().total(F, F.Dropout(x, p=0.3), h, i2h, h2h, bias)


class OnlyFloat32(Unit):
    def after(self, F, x, h):
        h = F.cast(h, "float32")
        return h, [h]


class SmallWeights(Unit):
    weight_init = "normal"


class Loop(gluon.HybridBlock):
    """A sequence layer with a loop over time inside, and three states of different widths."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.sizes = [hidden_size, 2, 1]
        with self.name_scope():
            self.weight = self.params.get("weight", shape=(hidden_size + 2, input_size + hidden_size + 2))

    def begin_state(self, batch_size, ctx=None, dtype="float32"):
        return [mx.nd.zeros((batch_size, size), ctx=ctx, dtype=dtype) for size in self.sizes]

    def hybrid_forward(self, F, inputs, states, weight):
        hidden_size = self.sizes[0]

        def step(x, before):
            hidden, pair, count = before
            seen = F.concat(x, hidden, pair, dim=1)
            both = F.tanh(F.FullyConnected(seen, weight, no_bias=True, num_hidden=hidden_size + 2))
            hidden = F.broadcast_add(F.slice_axis(both, axis=1, begin=0, end=hidden_size), F.sin(count) / 10)
            after = [hidden, F.slice_axis(both, axis=1, begin=hidden_size, end=None), count + 1]
            return hidden, after

        return F.contrib.foreach(step, inputs, states)


def cell(build, **fields):
    name = build.__name__.lower()
    return seqlm.CellSpec(name, "right", lambda size, hidden, options: build(size, hidden), **fields)


class Characters:
    def tokenize(self, text):
        return list(text)

    def detokenize(self, tokens):
        return "".join(tokens)

    def last_cut(self, text):
        return len(text)


class Runs(Characters):
    """Runs of letters and digits are tokens; every other character is one by itself."""

    def tokenize(self, text):
        return re.findall(r"\w+|\W", text)

    def last_cut(self, text):
        return re.search(r"\w*\Z", text).start()


class Merges(Characters):
    """Byte-pair encoding of lines, over characters, with as many merges as there are pairs that occur twice."""

    def __init__(self):
        self.merges = []

    def last_cut(self, text):
        return text.rfind("\n") + 1

    def tokenize(self, text):
        return [token for line in re.findall(r"[^\n]*\n|[^\n]+", text) for token in self._tokens(line)]

    def _tokens(self, line):
        tokens = list(line)
        for left, right in self.merges:
            tokens = joined(tokens, left, right)
        return tokens

    def train(self, texts):
        lines = [list(line) for line in "".join(texts).splitlines(keepends=True)]
        while len(self.merges) < 40:
            pairs = Counter(pair for line in lines for pair in zip(line, line[1:]))
            pair, count = max(pairs.items(), key=lambda item: (item[1], item[0]), default=(None, 0))
            if count < 2:
                return
            self.merges.append(list(pair))
            lines = [joined(line, *pair) for line in lines]

    def state(self):
        return {"merges": self.merges}

    def restore(self, state):
        self.merges = state["merges"]


def joined(tokens, left, right):
    """Return the tokens with each pair of ``left`` and ``right`` made one."""
    found = []
    for token in tokens:
        if found and found[-1] == left and token == right:
            found[-1] = left + right
        else:
            found.append(token)
    return found


class Descent(mx.optimizer.Optimizer):
    def create_state(self, index, weight):
        return None

    def update(self, index, weight, grad, state):
        self._update_count(index)
        weight[:] -= self._get_lr(index) * self.direction(index, weight, grad, state)

    def direction(self, index, weight, grad, state):
        return grad


def of_mxnet(name, learning_rate):
    return seqlm.OptimizerSpec(
        name,
        "right",
        lambda rate, options: mx.optimizer.create(name, learning_rate=rate),
        default_learning_rate=learning_rate,
    )


RIGHT = [
    cell(Unit, step=unit_step),
    cell(Noisy),
    cell(OnlyFloat32),
    cell(SmallWeights, step=unit_step),
    cell(Loop),
    seqlm.TokenizerSpec("merges", "right", lambda options: Merges()),
    of_mxnet("adagrad", 0.05),
    of_mxnet("ftml", 0.01),
]
