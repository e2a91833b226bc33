"""Training a language model from a text: everything put together."""

from __future__ import annotations

import dataclasses
import logging
import os
from typing import TYPE_CHECKING, Any

from seqlm_core.architecture import Architecture
from seqlm_core.components import Components
from seqlm_core.errors import RunError, SettingError
from seqlm_core.locking import locked
from seqlm_core.plugins import installed_plugins
from seqlm_core.reading.corpus import Corpus, read_corpus, warn_of_unknown_tokens
from seqlm_core.reading.text import PathLike
from seqlm_core.run import Run
from seqlm_core.run_directory import check_destination, make_run_directory, run_name
from seqlm_core.settings import Settings, make_settings
from seqlm_core.texts import Texts, TrainingTexts, open_texts

if TYPE_CHECKING:
    pass

logger = logging.getLogger("seqlm")

TAKEN_FROM_EARLIER_RUN = (
    "cell",
    "cell_options",
    "tokenizer",
    "tokenizer_options",
    "hidden_size",
    "layers",
    "embedding_size",
    "tie_weights",
    "min_count",
    "max_vocabulary",
)

CHANGEABLE_ON_RESUME = ("epochs", "max_steps", "checkpoint_every", "log_every", "sample_every")


def train(
    text: Texts = None,
    *,
    validation: Texts = None,
    out: PathLike | None = None,
    overwrite: bool = False,
    init_from: PathLike | None = None,
    quiet: bool = False,
    **settings: Any,
) -> Run:
    """Train a language model and return its run.

    Args:
        text: a file or several, read one after the other; ``-`` is standard input. Without any, ``data/input.txt``
            of the current folder, or else the sample text that comes with the package.
        validation: a file or several to validate on, instead of the end of the text.
        out: the run directory; ``data/models/TEXT-CELL-N`` without it.
        overwrite: replace the run that is in ``out``.
        init_from: a run whose best weights, vocabulary and sizes to begin with, instead of new ones; the optimizer
            begins afresh.
        quiet: show neither progress nor samples.
        settings: fields of :class:`~seqlm_core.settings.Settings`, such as ``cell="gru"``.

    Raises:
        UsageError: a setting, or ``out``, cannot be used.
        TextError: a text cannot be read, or there is too little of it.
        NonFiniteLossError: training went wrong; the last good checkpoint is in the run directory.
        TrainingInterrupted: a signal ended the training, which can be resumed.
    """
    earlier = None if init_from is None else Run(init_from)
    wanted = make_settings(**settings) if earlier is None else _settings_like(earlier, settings)
    components = Components.choose(wanted, installed_plugins())
    resolved = components.resolve(wanted)
    check_destination(out, overwrite)
    with open_texts(text, validation) as texts:
        from seqlm_core.mxnet import compute_device, told_failures
        from seqlm_core.training.session import Session

        device = compute_device(resolved.device)
        with told_failures():
            corpus = _read(texts, components, resolved, None if earlier is None else earlier.vocabulary)
            if earlier is None:
                architecture = Architecture.choose(resolved, components.cell.bidirectional, len(corpus.vocabulary))
            else:
                architecture = earlier.architecture
            if corpus.validation is not None:
                warn_of_unknown_tokens(corpus.validation)
            session = Session(corpus, components, resolved, architecture, device)
            if earlier is not None:
                session.take_weights(earlier)
            directory = make_run_directory(out, run_name(texts.name, resolved.cell))
            with locked(directory.path):
                check_destination(out, overwrite)  # again, now that nobody else can change the answer
                directory.clear(texts.training + texts.validation)
                try:
                    texts = texts.keep(directory)
                    session.write_description(directory, texts)
                    session.begin(directory, quiet)
                    session.run()
                except RunError:  # the disk is full, say: the run can go on
                    raise
                except Exception:
                    # Of a run without a step there is nothing to keep, unless its text cannot be had again.
                    if not session.has_saved_steps and texts.spooled is None:
                        directory.remove()
                    raise
    return Run(directory.path)


def resume(path: PathLike, *, quiet: bool = False, **changes: Any) -> Run:
    """Go on with a training that was ended early, from its last checkpoint; a finished one is left as it is.

    Args:
        path: the run directory.
        quiet: show neither progress nor samples.
        changes: settings that may change without changing the steps done: ``epochs`` and ``max_steps`` (with a
            constant learning rate), ``checkpoint_every``, ``log_every``, ``sample_every``.

    Raises:
        RunError: the directory is no run or is damaged, or a text is missing or has changed.
        SettingError: a change would give another run than an uninterrupted one.
        NonFiniteLossError: as in :func:`train`.
        TrainingInterrupted: as in :func:`train`.
    """
    run = Run(path)
    settings = _changed(run, changes)
    directory = run.directory
    if directory.best.exists() and not directory.last.exists():
        raise RunError(f"{directory.last} is missing, so the run cannot go on; its best weights are still there to use")
    texts = TrainingTexts.of_run(directory, run.config["texts"])
    threads = run.config["threads"]
    if os.environ.setdefault("OMP_NUM_THREADS", threads) != threads:
        logger.warning(
            "the run was begun with OMP_NUM_THREADS=%s and goes on with %s, so it will not be the same to the bit",
            threads,
            os.environ["OMP_NUM_THREADS"],
        )
    from seqlm_core.mxnet import compute_device, told_failures
    from seqlm_core.training.session import Session

    device = compute_device(settings.device)
    with locked(directory.path), told_failures():
        corpus = _read(texts, run.components, settings, run.vocabulary)
        session = Session(corpus, run.components, settings, run.architecture, device)
        session.begin(directory, quiet)
        if session.is_finished:
            logger.info("the run is finished: %d steps are done", session.training.step)
            return run
        if settings != run.settings:
            run.change_settings(settings)
        session.run()
    return run


def _read(texts: TrainingTexts, components: Components, settings: Settings, vocabulary: Any = None) -> Corpus:
    return read_corpus(
        texts.training,
        components.build_tokenizer(),
        encoding=settings.encoding,
        validation_fraction=settings.validation_fraction,
        validation_paths=texts.validation,
        min_count=settings.min_count or 1,
        max_vocabulary=settings.max_vocabulary,
        vocabulary=vocabulary,
    )


def _settings_like(run: Run, given: dict[str, Any]) -> Settings:
    """Return the ``given`` settings with those that make the model's shape and vocabulary taken from ``run``.

    Raises:
        SettingError: one of those is given, and differs.
    """
    taken = {name: getattr(run.settings, name) for name in TAKEN_FROM_EARLIER_RUN}
    asked = _with_changes(run.settings, {name: value for name, value in given.items() if name in taken})
    for name in taken:
        if getattr(asked, name) != taken[name]:
            raise SettingError(name, f"is {taken[name]!r} in the run to begin from, and cannot be {given[name]!r}")
    return make_settings(**{**given, **taken})


def _changed(run: Run, changes: dict[str, Any]) -> Settings:
    """Return the settings of a resumed run; raise :class:`SettingError` for a change that breaks it."""
    settings = run.settings
    new = _with_changes(settings, changes)
    for name in changes:
        if getattr(new, name) == getattr(settings, name):
            continue
        if name not in CHANGEABLE_ON_RESUME:
            raise SettingError(
                name, f"was {getattr(settings, name)!r} when the run began and cannot change on resuming"
            )
        if name in ("epochs", "max_steps") and settings.schedule != "constant":
            raise SettingError(
                name, f"cannot change on resuming a run whose {settings.schedule} schedule depends on it"
            )
    return new


def _with_changes(settings: Settings, changes: dict[str, Any]) -> Settings:
    """Return settings with some changed and all options converted; single options add to those that there are."""
    merged = {
        name: {**getattr(settings, name), **value} if name.endswith("_options") else value
        for name, value in changes.items()
    }
    wanted = make_settings(**{**dataclasses.asdict(settings), **merged})
    return Components.choose(wanted, installed_plugins()).resolve(wanted)
