"""Writes the model of a run as ONNX files, with a program that uses them."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqlm_core.interchange.description import description_of, formulas_of, opened_run
from seqlm_core.interchange.folders import copy_template, new_folder
from seqlm_core.interchange.onnx_graph import import_onnx
from seqlm_core.interchange.onnx_language import LanguageGraphs
from seqlm_core.interchange.onnx_sequence import sequence_graph
from seqlm_core.runs.directory import VECTORS_FILE
from seqlm_core.runs.language_run import LanguageRun
from seqlm_core.runs.run import Run
from seqlm_core.runs.sequence_run import SequenceRun
from seqlm_core.sequences.chunk_schemes import chunks_only
from seqlm_core.sequences.codecs import LabelCodec
from seqlm_core.sequences.label_chains import LabelChain
from seqlm_core.settings.arguments import PathLike
from seqlm_core.storage.checkpoint import load_mapped

SAMPLE, PREDICT = "sample.py", "predict.py"


def export_onnx(run: Run[Any] | PathLike, out: PathLike, *, overwrite: bool = False) -> None:
    """Write the model of a run as ONNX files (opset 17), and a program that uses them.

    Of a language model they are ``step.onnx``, which reads one token at a time, ``sequence.onnx``, which reads a
    window, and of a bidirectional one also ``both-sides.onnx``, which predicts each token from the text on both sides;
    the program ``sample.py`` makes text. Of a sequence model they are ``model.onnx`` and the program ``predict.py``.
    The programs need onnxruntime and NumPy alone. The metadata of each file has what goes with the weights as JSON,
    under the key ``seqlm``: settings, sizes, vocabulary, facts on the tokens.

    Args:
        run: the run, or its directory.
        out: the folder to write into.
        overwrite: whether a folder that holds files is written into; those of an earlier export are replaced.

    Raises:
        RunError: the directory holds no run, or is damaged.
        UsageError: ``out`` cannot be used, the package onnx is not installed, or the cell has no formula that ONNX has.
        SeqlmError: ``out`` cannot be written to.
    """
    import_onnx()
    opened = opened_run(run)
    formula, char_formula = formulas_of(opened)
    description = description_of(opened)
    with new_folder(out, overwrite) as folder:
        if isinstance(opened, LanguageRun):
            graphs = LanguageGraphs(opened.architecture, formula, opened.weights)
            graphs.step().save(folder / "step.onnx", description)
            graphs.sequence().save(folder / "sequence.onnx", description)
            if opened.architecture.bidirectional:
                graphs.both_sides().save(folder / "both-sides.onnx", description)
            copy_template(SAMPLE, folder / SAMPLE)
        elif isinstance(opened, SequenceRun):
            codecs = opened.codecs_without_sources
            chain = _label_chain(opened)
            graph = sequence_graph(opened.architecture, formula, char_formula, opened.weights, codecs, chain)
            graph.save(folder / "model.onnx", description)
            copy_template(PREDICT, folder / PREDICT)
            if "vectors" in opened.config:
                arrays: dict[str, Any] = load_mapped(opened.path / VECTORS_FILE)[0]
                np.savez(folder / "vectors.npz", **arrays)


def _label_chain(run: SequenceRun) -> LabelChain | None:
    """Return the scores of labels next to each other: what was learnt, and what is forbidden; None without any."""
    codec = run.codecs_without_sources.outputs
    if run.architecture.outputs != "labels" or not isinstance(codec, LabelCodec):
        return None
    chain = LabelChain.independent(codec.size)
    if run.architecture.crf:
        learnt = (run.weights[f"head.chain.{name}"].astype(np.float64) for name in ("first", "transitions", "last"))
        chain = LabelChain(*learnt)
    if run.settings.constrain:
        chain += chunks_only(codec.labels)
    return chain if run.architecture.crf or run.settings.constrain else None
