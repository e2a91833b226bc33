"""Several runs of sequence models that predict together."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from typing import Any

from seqlm_core.errors import SettingError, UsageError
from seqlm_core.model.averaged_prediction import AveragedPredictor
from seqlm_core.runs.sequence_predictions import SequencePredictions
from seqlm_core.runs.sequence_run import SequenceRun
from seqlm_core.runs.token_vectors import language_model_digest
from seqlm_core.sequences.codecs import LabelCodec, ValueCodec
from seqlm_core.settings.arguments import PathLike


class SequenceEnsemble(SequencePredictions):
    """Several runs of sequence models that predict together, as if they were one model.

    The probability of labels is the geometric mean of the probabilities that the models give them, normalized; values
    are averaged. The models may differ in all but their kinds of inputs and outputs, and what they predict. If several
    of them read the same language model, it is there once, and reads each sequence once.

    Args:
        paths: the run directories, at least one. The first gives the order of the labels, and counts unknown tokens.
        language_model: where the language model is now whose states they read, or where several are; None means where
            they were in the training.

    Raises:
        RunError: a directory holds no run of a sequence model, is damaged, or needs a plugin that is missing.
        SettingError: a language model is named that none of the models reads.
        UsageError: a run is there twice, or they differ in what they read or predict.

    Attributes:
        runs: the runs, each a :class:`SequenceRun`.
    """

    def __init__(self, paths: Sequence[PathLike], language_model: PathLike | Sequence[PathLike] | None = None) -> None:
        if isinstance(paths, (str, os.PathLike)) or not paths:
            raise UsageError(f"`paths` is a list of run directories, not {paths!r}")
        self.runs = [SequenceRun(path) for path in paths]
        moved = [language_model] if isinstance(language_model, (str, os.PathLike)) else language_model
        for path in moved or ():
            digest = language_model_digest(path)
            reading = [run.config.get("language_model", {}).get("digest") == digest for run in self.runs]
            if not any(reading):
                raise SettingError("language_model", f"is of no use: none of the models reads {path}")
            self.runs = [SequenceRun(run.path, path) if reads else run for run, reads in zip(self.runs, reading)]
        self.architecture = self.runs[0].architecture
        for number, run in enumerate(self.runs):
            if run.path.resolve() in [other.path.resolve() for other in self.runs[:number]]:
                raise UsageError(f"{run.path} is there twice, and counts once")
            self._check_same(run)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({[str(run.path) for run in self.runs]!r})"

    def expect(self, time_steps: int) -> None:
        for run in self.runs:
            run.expect(time_steps * len(self.runs))

    def _check_same(self, run: SequenceRun) -> None:
        first = self.runs[0]
        kinds, wanted = ((r.architecture.inputs, r.architecture.outputs) for r in (run, first))
        if kinds != wanted:
            raise UsageError(
                f"{run.path} maps {kinds[0]} to {kinds[1]}, and {first.path} {wanted[0]} to {wanted[1]}: they cannot "
                "predict together"
            )
        found, expected = (_what_it_predicts(r.codecs_without_sources.outputs) for r in (run, first))
        if found != expected:
            raise UsageError(
                f"{run.path} predicts other {wanted[1]} than {first.path}, so they cannot predict together"
                + _difference(found, expected)
            )

    @property
    def _name(self) -> str:
        return f"the ensemble of {self.runs[0].path}"

    @property
    def _output_codec(self) -> LabelCodec | ValueCodec:
        return self.runs[0].codecs_without_sources.outputs

    @functools.cached_property
    def _predictor(self) -> AveragedPredictor:
        predictors = []
        opened: list[Any] = []
        for run in self.runs:
            run.share(opened)
            predictors.append(run._predictor)
            opened += getattr(run.codecs.inputs, "sources", ())
        return AveragedPredictor(predictors)


def _what_it_predicts(codec: LabelCodec | ValueCodec) -> Any:
    """Return the labels or the number of channels."""
    return set(codec.labels) if isinstance(codec, LabelCodec) else codec.size


def _difference(found: Any, expected: Any) -> str:
    if not isinstance(found, set):
        return f": {found} channels, not {expected}"
    label = sorted(found ^ expected, key=str)[0]
    return f": {label!r} is known to one of them alone"
