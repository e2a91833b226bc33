"""Where a run's tokens get vectors from: pre-trained ones that it keeps, and the states of a language model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seqlm_core.errors import RunError, UsageError
from seqlm_core.model.language_states import LanguageStates
from seqlm_core.runs.directory import VECTORS_FILE, RunDirectory
from seqlm_core.runs.language_run import LanguageRun
from seqlm_core.runs.networks import window_network
from seqlm_core.sequences.given_vectors import VectorSource
from seqlm_core.sequences.pretrained_vectors import PretrainedVectors
from seqlm_core.settings.arguments import PathLike, checked_path
from seqlm_core.storage.checkpoint import digest_in


def language_states(path: PathLike) -> VectorSource:
    """Return the source of the states of the language model in a run directory.

    Raises:
        RunError: the directory holds no run of a language model, or is damaged.
    """
    run = LanguageRun(checked_path("language_model", path))
    return _states_of(run, digest_in(run.weights_file))


def language_model_digest(path: PathLike) -> str:
    """Return the digest by which the runs that read a language model refer to it.

    Raises:
        RunError: the directory holds no run of a language model, or is damaged.
    """
    return digest_in(LanguageRun(checked_path("language_model", path)).weights_file)


def sources_of_run(
    directory: RunDirectory, config: Mapping[str, Any], opened: Sequence[VectorSource] = ()
) -> list[VectorSource]:
    """Return what gives vectors to the tokens of a run.

    Args:
        directory: the run directory.
        config: the run's configuration.
        opened: sources that are open already. A language model among them that the run reads is not opened once more.

    Raises:
        RunError: the vectors that the run keeps are missing or damaged; or its language model is missing, damaged, or
            not the one that it was trained with.
    """
    sources: list[VectorSource] = []
    if "vectors" in config:
        path = directory.path / VECTORS_FILE
        vectors = PretrainedVectors(path)
        if vectors.digest != config["vectors"]["digest"]:
            raise RunError(f"{path} holds other vectors than those that the run was trained with")
        sources.append(vectors)
    if "language_model" in config:
        digest = config["language_model"]["digest"]
        same = (s for s in opened if s.described.get("language_model", {}).get("digest") == digest)
        sources.append(next(same, None) or _recorded_states(directory, config["language_model"]))
    return sources


def _recorded_states(directory: RunDirectory, recorded: Mapping[str, str]) -> VectorSource:
    path = Path(recorded["path"])
    try:
        run = LanguageRun(path)
        digest = digest_in(run.weights_file)
    except UsageError as error:
        raise RunError(f"{directory.path} needs the language model {path}: {error}") from error
    except RunError as error:
        raise RunError(
            f"{directory.path} needs the language model {path}, which cannot be used: {error}; name another place of "
            "it with `language_model`"
        ) from error
    if digest != recorded["digest"]:
        raise RunError(
            f"{directory.path} needs the language model {path} as it was, and it has changed: its weights are others"
        )
    return _states_of(run, digest)


def _states_of(run: LanguageRun, digest: str) -> VectorSource:
    embeddings = run.weights["input.weight"] if run.architecture.embedding_size else None
    where = str(run.path.resolve())
    return LanguageStates(window_network(run, any_batch=True), run.tokenizer, run.vocabulary, embeddings, where, digest)
