"""seqlm: recurrent sequence models, above all language models of characters and words.

import seqlm_core as seqlm

run = seqlm.train("data/input.txt", cell="lstm")
print(run.sample("The ", length=200))
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from seqlm_core.engine.numerics import log_softmax, sigmoid
from seqlm_core.errors import (
    NonFiniteLossError,
    PluginError,
    PluginRuntimeError,
    RunError,
    SeqlmError,
    SettingError,
    TextError,
    TrainingInterrupted,
    UnknownNameError,
    UsageError,
)
from seqlm_core.interchange.html_export import export_html
from seqlm_core.interchange.onnx_export import export_onnx
from seqlm_core.interchange.pytorch_export import export_pytorch
from seqlm_core.interchange.pytorch_import import import_pytorch
from seqlm_core.plugins.files import load_plugin
from seqlm_core.plugins.hookspecs import hookimpl
from seqlm_core.plugins.loading import Plugins, installed_plugins
from seqlm_core.plugins.options import NoOptions, option
from seqlm_core.plugins.specs import (
    CellSpec,
    CodingTokenizer,
    OptimizerSpec,
    States,
    Tokenizer,
    TokenizerSpec,
    TrainableTokenizer,
)
from seqlm_core.reading.text_cache import text_cache
from seqlm_core.runs.finding import find_runs
from seqlm_core.runs.language_run import LanguageRun
from seqlm_core.runs.sequence_ensemble import SequenceEnsemble
from seqlm_core.runs.sequence_run import SequenceRun
from seqlm_core.runs.summary import RunSummary
from seqlm_core.sequences.columns import read_columns
from seqlm_core.sessions.resume import resume
from seqlm_core.sessions.sequence_model import SequenceModel
from seqlm_core.sessions.train import train
from seqlm_core.settings.settings import LanguageSettings, SequenceSettings
from seqlm_core.training.extension import Extension
from seqlm_core.version import __version__
from seqlm_core.views.inspection_page import write_inspection, write_label_inspection
from seqlm_core.views.loss_picture import plot_runs
from seqlm_core.views.report_page import write_report

# Earlier names, which programs may still use.
Run = LanguageRun
Settings = LanguageSettings

if TYPE_CHECKING:
    from seqlm_core.model.initialization import GateBias, GateOrthogonal
    from seqlm_core.model.recurrent_layer import RecurrentLayer

__all__ = [
    "CellSpec",
    "CodingTokenizer",
    "Extension",
    "GateBias",
    "GateOrthogonal",
    "LanguageRun",
    "LanguageSettings",
    "NoOptions",
    "NonFiniteLossError",
    "OptimizerSpec",
    "PluginError",
    "PluginRuntimeError",
    "Plugins",
    "RecurrentLayer",
    "RunError",
    "RunSummary",
    "SeqlmError",
    "SequenceEnsemble",
    "SequenceModel",
    "SequenceRun",
    "SequenceSettings",
    "SettingError",
    "States",
    "TextError",
    "Tokenizer",
    "TokenizerSpec",
    "TrainableTokenizer",
    "TrainingInterrupted",
    "UnknownNameError",
    "UsageError",
    "__version__",
    "export_html",
    "export_onnx",
    "export_pytorch",
    "find_runs",
    "hookimpl",
    "import_pytorch",
    "installed_plugins",
    "load_plugin",
    "log_softmax",
    "option",
    "plot_runs",
    "read_columns",
    "resume",
    "sigmoid",
    "text_cache",
    "train",
    "write_inspection",
    "write_label_inspection",
    "write_report",
]

_WITH_MXNET = {
    "GateBias": "seqlm_core.model.initialization",
    "GateOrthogonal": "seqlm_core.model.initialization",
    "RecurrentLayer": "seqlm_core.model.recurrent_layer",
}
"""Public names whose modules import MXNet, which takes seconds. They are imported at their first use."""


def __getattr__(name: str) -> Any:
    if name in _WITH_MXNET:
        return getattr(importlib.import_module(_WITH_MXNET[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
