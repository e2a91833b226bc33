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
        together: how many taggers, with other seeds, make one training, and are measured together, too.
    """

    corpus: str
    settings: dict[str, Any]
    published: tuple[tuple[str, float], ...] = ()
    parts_of_speech: bool = False
    language_model: bool = False
    together: int = 1


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

# How a model of words is trained whose states and embeddings taggers read.
LANGUAGE_MODEL = {
    "tokenizer": "space", "documents": "line", "batch_size": 64, "sequence_length": 35,
    "cell": "bilstm", "hidden_size": (640, 400), "embedding_size": 400, "tie_weights": True, "output_layer": "adaptive",
    "learning_rate": 0.004, "input_dropout": 0.2, "embedding_dropout": 0.05, "layer_dropout": 0.2,
    "output_dropout": 0.25, "recurrent_dropout": 0.2, "activation_penalty": 2.0, "weight_decay": 0.07,
    "average": "ema", "max_steps": 7500, "epochs": 12, "validate_every": 1500, "sample_every": 0,
    "precision": "bfloat16",
}  # fmt: skip

TAGGER = {
    "output_layer": "crf", "layers": 2, "hidden_size": 200, "embedding_size": 100, "lowercase": True, "shapes": True,
    "column_embedding_size": 25, "char_cell": "bilstm", "char_hidden_size": 25, "learning_rate": 0.005, "epochs": 12,
}  # fmt: skip
# What a language model knows is worth more weights, and more dropout and time for them.
LARGER = {
    **TAGGER, "hidden_size": 300, "char_hidden_size": 50, "dropout": 0.4, "learning_rate": 0.004, "epochs": 14,
    "precision": "bfloat16",
}  # fmt: skip
# Names are learnt by heart soon, so a tagger of them has more dropout, and more time.
REGULARIZED = {
    **TAGGER, "layers": 1, "epochs": 25, "dropout_masks": "locked", "input_dropout": 0.5, "output_dropout": 0.5,
    "recurrent_dropout": 0.2, "embedding_dropout": 0.05,
}  # fmt: skip
WITHOUT_CHARACTERS = {name: value for name, value in TAGGER.items() if not name.startswith("char_")}
CHUNKS = (
    (f"BI-LSTM ({HUANG})", 93.64),
    (f"BI-LSTM-CRF ({HUANG})", 94.13),
    (f"BI-LSTM-CRF, character models of a billion words ({AKBIK})", 96.72),
)
ENTITIES = ((f"LSTM-CRF, pre-trained vectors ({LAMPLE})", 85.75),)

ROWS = {
    "conll-2000": Row("conll-2000", TAGGER, CHUNKS, parts_of_speech=True),
    "conll-2000-language-model": Row(
        "conll-2000", LARGER, CHUNKS, parts_of_speech=True, language_model=True, together=2
    ),
    "conll-2000-no-crf": Row("conll-2000", {**TAGGER, "output_layer": "softmax"}, CHUNKS, parts_of_speech=True),
    "conll-2000-no-characters": Row("conll-2000", WITHOUT_CHARACTERS, CHUNKS, parts_of_speech=True),
    "conll-2002": Row("conll-2002", REGULARIZED, ENTITIES),
    "ewt": Row("ewt", {**TAGGER, "output_layer": "softmax"}),
}
