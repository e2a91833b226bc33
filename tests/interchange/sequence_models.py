"""Runs of small sequence models of all kinds with random weights, and what NumPy makes of their inputs."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
from random_run import sequence_run
from sequence_reference import INPUTS, ReferenceNetwork, alone, encoded, make_codecs, make_network

import seqlm_core as seqlm
from seqlm_core.model.build import weights_of
from seqlm_core.sequences.codecs import LabelCodec

LENGTHS = [3, 1, 5, 2]


@functools.cache
def network_of(cell, inputs, outputs, **settings):
    return make_network(cell, inputs, outputs, dtype="float32", **settings)


def make_run(path, cell, inputs, outputs, labels=None, **settings):
    """Return the run, with biases that are random too, and with other labels if they are given."""
    codecs = make_codecs(inputs, outputs)
    if labels is not None:
        codecs = dataclasses.replace(codecs, outputs=LabelCodec(labels))
    network = network_of(cell, inputs, outputs, **settings)
    made = seqlm.SequenceSettings(**{"cell": cell, "hidden_size": 3, "layers": 1, **INPUTS[inputs], **settings})
    return sequence_run(path, made, network.architecture, codecs, weights_of(network))


def expected(run, inputs, outputs):
    """Return for each sequence what the layers and the projection make of it in NumPy, without a softmax."""
    settings = run.settings
    reference = ReferenceNetwork(settings.cell, run.architecture, run.weights, settings.char_cell or "")
    sequences = encoded(inputs, outputs, LENGTHS)
    scores = "head.scores." if run.architecture.crf else "head."
    weight, bias = run.weights[f"{scores}weight"], run.weights[f"{scores}bias"]
    rows = [reference.read(alone(sequences, i)) @ weight.T + bias for i in range(len(LENGTHS))]
    return [row[0] for row in rows] if outputs == "label" else rows


def log_softmax(scores):
    return scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))
