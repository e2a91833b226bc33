"""The rows of ``tagging.py``: corpora, published figures, and the settings with which seqlm is trained."""

from __future__ import annotations

import dataclasses
from typing import Any

F1, ACCURACY = "F1 of chunks", "accuracy"


@dataclasses.dataclass(frozen=True)
class Corpus:
    """A corpus of the literature.

    Attributes:
        title: what the table calls it.
        figure: the figure that the literature gives.
        training: the file to train on; the last tenth of its sentences is for validation.
        test: the file to test on.
        tokens: the numbers of tokens of both, by which other editions are noticed.
        columns: the numbers of the columns with tokens, labels and parts of speech.
    """

    title: str
    figure: str
    training: str
    test: str
    tokens: tuple[int, int]
    columns: tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class Row:
    """A tagger to train.

    Attributes:
        corpus: a name in :data:`CORPORA`.
        settings: settings of ``seqlm.SequenceModel``.
        published: models, with the source of their figures, and the figures on the test part.
        parts_of_speech: whether the model reads these too.
        language_model: whether it reads the states of a language model.
    """

    corpus: str
    settings: dict[str, Any]
    published: tuple[tuple[str, float], ...] = ()
    parts_of_speech: bool = False
    language_model: bool = False


CORPORA = {
    "conll-2000": Corpus(
        "CoNLL-2000, chunks", F1, "conll2000/train.txt", "conll2000/test.txt", (211_727, 47_377), (1, 3, 2)
    ),
    "conll-2002": Corpus(
        "CoNLL-2002, Spanish entities", F1, "conll2002/esp.train", "conll2002/esp.testb", (264_715, 51_533), (1, 3, 2)
    ),
    "ewt": Corpus(
        "UD English EWT, parts of speech", ACCURACY, "ewt/train.conllu", "ewt/test.conllu", (204_577, 25_094), (2, 4, 4)
    ),
}

HUANG = "Huang et al., Bidirectional LSTM-CRF Models for Sequence Tagging, 2015"
LAMPLE = "Lample et al., Neural Architectures for Named Entity Recognition, 2016"
AKBIK = "Akbik et al., Contextual String Embeddings for Sequence Labeling, 2018"
