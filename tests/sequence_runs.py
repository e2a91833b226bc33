"""Small trainings of sequence models."""

from __future__ import annotations

import math
import signal

import numpy as np

import seqlm_core as seqlm
from seqlm_core.training.tasks.sequences import SequenceLearning

TOKENS = list("abcdef")
SMALL = {
    "hidden_size": 6,
    "batch_size": 4,
    "epochs": 3,
    "learning_rate": 0.02,
    "warmup": 0,
    "dropout": 0.0,
    "validation_fraction": 0.25,
    "log_every": 0,
}


def learnable(inputs="tokens", outputs="labels", count=20, seed=0):
    """Return examples in which something can be learnt, of 1 to 12 time steps; every fifth does not count."""
    random = np.random.default_rng(seed)
    examples = []
    for length in random.integers(1, 13, count):
        ids = random.integers(0, len(TOKENS), length)
        read = [TOKENS[i] for i in ids] if inputs == "tokens" else np.stack([ids, random.normal(size=length)], axis=1)
        labels = ["small" if i < 3 else 1 for i in ids]
        counts = np.arange(length) % 5 != 4
        examples.append(
            (
                read,
                {
                    "labels": [label if known else None for label, known in zip(labels, counts)],
                    "label": labels[0],
                    "values": np.where(counts, ids + np.roll(ids, 1) * (np.arange(length) > 0), math.nan),
                }[outputs],
            )
        )
    return examples


def train(examples, out, inputs="tokens", outputs="labels", validation=None, init_from=None, **settings):
    model = seqlm.SequenceModel(inputs, outputs, **{**SMALL, **settings})
    return model.train(examples, validation, out=out, init_from=init_from, quiet=True)


def interrupt_at(monkeypatch, step, signals=1):
    """Make signals arrive while a training computes this step."""
    original = SequenceLearning.loss

    def loss(task, batch):
        for _ in range(signals if batch.step == step else 0):
            signal.raise_signal(signal.SIGINT)
        return original(task, batch)

    monkeypatch.setattr(SequenceLearning, "loss", loss)
