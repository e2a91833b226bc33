"""Runs of models with random weights, written without a training."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from random_model import RandomModel, vocabulary_of

import seqlm_core as seqlm
from seqlm_core.plugins.components import Components
from seqlm_core.reading.vocabulary import Vocabulary
from seqlm_core.runs.directory import RunDirectory
from seqlm_core.sequences.codecs import Codecs


def language_run(
    path: Path, model: RandomModel, vocabulary: Vocabulary | None = None, **settings: Any
) -> seqlm.LanguageRun:
    """Write the run of a language model; its tokens are characters unless there are others."""
    a = model.architecture
    vocabulary = vocabulary or vocabulary_of(a.vocabulary_size)
    made = seqlm.LanguageSettings(
        cell=model.spec.name,
        cell_options=dataclasses.asdict(model.options),
        hidden_size=a.hidden_size,
        layers=a.layers,
        embedding_size=a.embedding_size,
        tie_weights=a.tie_weights,
        output_layer="adaptive" if a.cutoffs else "softmax",
        **settings,
    )
    directory = RunDirectory.of_new_run(path)
    directory.path.mkdir()
    directory.write_vocabulary(vocabulary)
    components = Components.choose(made, seqlm.installed_plugins())
    directory.write_tokenizer(components.build_tokenizer())
    counted = {"training_tokens": 1000, "validation_tokens": 100}
    _write(directory, "language model", components.resolve(made), components, a, model.weights, counted)
    return seqlm.LanguageRun(path)


def sequence_run(
    path: Path, settings: seqlm.SequenceSettings, architecture: Any, codecs: Codecs, weights: dict[str, np.ndarray]
) -> seqlm.SequenceRun:
    """Write the run of a sequence model."""
    directory = RunDirectory.of_new_run(path)
    directory.path.mkdir()
    directory.write_codecs(codecs)
    components = Components.choose(settings, seqlm.installed_plugins())
    _write(directory, "sequence model", components.resolve(settings), components, architecture, weights, {})
    return seqlm.SequenceRun(path)


def _write(
    directory: RunDirectory,
    task: str,
    settings: Any,
    components: Components,
    architecture: Any,
    weights: dict[str, np.ndarray],
    counted: dict[str, int],
) -> None:
    text = {"path": "/nowhere/text.txt", "bytes": 1, "digest": ""}
    directory.write_config(
        {
            "task": task,
            "settings": dataclasses.asdict(settings),
            "architecture": dataclasses.asdict(architecture),
            "plugins": components.to_json(),
            "texts": {"training": [text], "validation": []},
            "threads": "1",
            "kernels": "mxnet",
            **counted,
        }
    )
    directory.save(directory.best, {f"model/{name}": array for name, array in weights.items()}, {"record": {}})
