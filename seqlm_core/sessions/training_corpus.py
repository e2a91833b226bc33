"""Reads the texts of a training, and warns if many of their tokens are unknown."""

from __future__ import annotations

from seqlm_core.plugins.specs import Tokenizer
from seqlm_core.reading.corpus import Corpus, read_corpus
from seqlm_core.reading.tokenized_text import warn_of_unknown_tokens
from seqlm_core.reading.unknown import MOST_UNKNOWN
from seqlm_core.reading.vocabulary import Vocabulary
from seqlm_core.runs.training_files import TrainingFiles
from seqlm_core.settings.settings import LanguageSettings

TO_KNOW_MORE = "try a lower `min_count`, another `tokenizer`, or more text"


def read_training_corpus(
    texts: TrainingFiles,
    tokenizer: Tokenizer,
    settings: LanguageSettings,
    vocabulary: Vocabulary | None = None,
    *,
    quiet: bool = False,
) -> Corpus:
    """Read the texts of a training, and warn of tokens that are not in the vocabulary.

    Args:
        texts: the texts to read.
        tokenizer: cuts the texts. With a vocabulary, it must have learnt already what it learns.
        settings: the settings of the training.
        vocabulary: an existing vocabulary; None means that one is made from the texts.
        quiet: whether to show no progress.

    Raises:
        TextError: a text cannot be read, or consists of one symbol only.
    """
    corpus = read_corpus(
        texts.training,
        tokenizer,
        encoding=settings.encoding,
        validation_fraction=settings.validation_fraction,
        validation_limit=settings.validation_limit,
        validation_paths=texts.validation,
        min_count=settings.min_count or 1,
        max_vocabulary=settings.max_vocabulary,
        vocabulary=vocabulary,
        documents=settings.documents,
        show_progress=not quiet,
    )
    if corpus.training.unknown_share > MOST_UNKNOWN:  # a small share is wanted: the model learns `<unk>` from it
        warn_of_unknown_tokens(corpus.training, TO_KNOW_MORE)
    if corpus.validation is not None:
        warn_of_unknown_tokens(corpus.validation, TO_KNOW_MORE)
    return corpus
