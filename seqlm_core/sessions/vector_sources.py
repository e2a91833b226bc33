"""What gives vectors to the tokens of a training: pre-trained ones, and a language model."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from seqlm_core.errors import TextError
from seqlm_core.reading.text import Fingerprint, TextFile
from seqlm_core.runs.directory import VECTORS_FILE
from seqlm_core.runs.sequence_run import SequenceRun
from seqlm_core.runs.token_vectors import language_states
from seqlm_core.sequences.examples import Example
from seqlm_core.sequences.given_vectors import VectorSource
from seqlm_core.sequences.pretrained_vectors import PretrainedVectors
from seqlm_core.sequences.tokens import texts_of
from seqlm_core.settings.arguments import PathLike, checked_path
from seqlm_core.storage.checkpoint import digest_in
from seqlm_core.storage.temporary import readable_file_errors

logger = logging.getLogger("seqlm")


def vector_sources(
    folder: Path,
    training: Sequence[Example],
    earlier: SequenceRun | None,
    vectors: PathLike | None,
    language_model: PathLike | None,
) -> tuple[list[VectorSource], dict[str, TextFile]]:
    """Return what gives vectors to tokens, and the file of vectors that the run will keep, by its name in the run.

    Args:
        folder: where that file is until then.
        training: the examples to train on.
        earlier: the run that the training begins with; its sources are its own.
        vectors: a text file of pre-trained vectors.
        language_model: the run of a language model.

    Raises:
        TextError: the file cannot be read, or has a vector of no token of the examples.
        RunError: there is no such language model.
    """
    sources: list[VectorSource] = []
    kept = folder / VECTORS_FILE
    with readable_file_errors():
        if vectors is not None:
            sources.append(_read_vectors(checked_path("vectors", vectors), kept, training))
        elif earlier is not None and "vectors" in earlier.config:
            shutil.copyfile(earlier.path / VECTORS_FILE, kept)
    if language_model is not None and earlier is None:
        logger.info("reading the tokens with the language model %s", language_model)
        sources.append(language_states(language_model))
    if not kept.exists():
        return sources, {}
    return sources, {VECTORS_FILE: TextFile(kept, Fingerprint(kept.stat().st_size, digest_in(kept)))}


def _read_vectors(path: Path, kept: Path, training: Sequence[Example]) -> PretrainedVectors:
    read = PretrainedVectors.convert(path, kept)
    known, tokens, share = read.coverage([texts_of(sequence) for sequence, _ in training])
    if not known:
        raise TextError(f"{path} has a vector of none of the {tokens:,} different tokens of the training examples")
    logger.info(
        "%s tokens have vectors of %d numbers, among them %s of the %s different ones of the training (%.1f %% of all)",
        *(f"{len(read):,}", read.size, f"{known:,}", f"{tokens:,}", 100 * share),
    )
    return read
