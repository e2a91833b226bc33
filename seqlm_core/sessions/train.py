"""Training of a language model on a text, from the arguments to the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seqlm_core.plugins.components import Components
from seqlm_core.plugins.loading import installed_plugins
from seqlm_core.reading.sources import Texts
from seqlm_core.runs.language_run import LanguageRun
from seqlm_core.runs.new_run import check_destination
from seqlm_core.runs.settings_of_run import plugins_of_model, settings_to_begin_from
from seqlm_core.runs.training_files import open_training_files
from seqlm_core.sessions.user_code import split_user_code
from seqlm_core.settings.arguments import PathLike
from seqlm_core.settings.fields import make_settings
from seqlm_core.settings.settings import LanguageSettings
from seqlm_core.training.event_files import check_event_folder
from seqlm_core.training.extension import Extension
from seqlm_core.workers.joining import joined


def train(
    text: Texts = None,
    *,
    validation: Texts = None,
    out: PathLike | None = None,
    overwrite: bool = False,
    init_from: PathLike | None = None,
    quiet: bool = False,
    extensions: Sequence[Extension] = (),
    kvstore: str | None = None,
    **settings: Any,
) -> LanguageRun:
    """Train a language model and return its run.

    Args:
        text: one or several files, which are read one after the other; ``-`` is standard input. A folder stands for
            the files in it and in its folders, but for hidden ones, sorted by their names. None means
            ``data/input.txt`` in the current folder, or, if that is missing, the sample text of the package.
        validation: one or several files or folders to validate on; None means the end of the text.
        out: the run directory; None means ``data/models/TEXT-CELL-N``.
        overwrite: whether to replace a run that is in ``out``.
        init_from: a run; the training begins with its best weights, vocabulary and sizes, but with a new optimizer.
        quiet: whether to show neither progress nor samples.
        extensions: extensions of the training. Those that have a state must be given again on resuming.
        kvstore: ``dist_sync`` trains together with the other workers of a job, as the environment describes it; None
            trains alone. Only the call of the first worker returns; the processes of all others end with the training.
        settings: fields of :class:`~seqlm_core.settings.settings.LanguageSettings`, such as ``cell="gru"``.
            ``schedule`` may also be a function of a step and the number of all steps that returns the factor of the
            learning rate; it must be given again on resuming.

    Raises:
        UsageError: a setting, or ``out`` cannot be used.
        TextError: a text cannot be read, or is too short.
        PluginError: a plugin, an extension or a schedule cannot be used, or fails.
        NonFiniteLossError: training went wrong; the last good checkpoint is in the run directory.
        TrainingInterrupted: a signal ended the training, which can be resumed.
    """
    user_code, settings = split_user_code(extensions, settings)
    earlier = None if init_from is None else LanguageRun(init_from)
    wanted = make_settings(LanguageSettings, settings) if earlier is None else settings_to_begin_from(earlier, settings)
    components = Components.choose(wanted, installed_plugins(), {} if earlier is None else plugins_of_model(earlier))
    resolved = components.resolve(wanted)
    check_destination(out, overwrite)
    with joined(kvstore) as workers, open_training_files(text, validation) as texts:
        if workers.leads:
            check_event_folder(resolved.tensorboard, is_new=True, overwrite=overwrite)
        from seqlm_core.engine.mxnet import readable_failures
        from seqlm_core.sessions.job import language_job
        from seqlm_core.sessions.new_run import train_new_run

        with readable_failures():
            if earlier is not None:
                earlier.check_weights()
            job = language_job(
                texts, components, resolved, user_code, earlier, quiet=quiet or not workers.leads, workers=workers
            )
            if earlier is not None:
                job = job.beginning_with(earlier)
            directory = train_new_run(job, texts, out, overwrite, quiet)
    return LanguageRun(directory.path)
