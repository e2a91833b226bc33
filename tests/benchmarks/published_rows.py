"""The rows of ``published.py``: corpora, published figures, and the settings with which seqlm is trained."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

SAMPLE_TEXT = Path(__file__).resolve().parents[2] / "data" / "input.txt"

PERPLEXITY, BITS, NATS = "perplexity", "bits per character", "nats per character"


@dataclasses.dataclass(frozen=True)
class Corpus:
    """A text of the literature.

    Attributes:
        title: what the table calls it.
        figure: the figure that the literature gives.
        files: the names of training, validation and test file; a single name if the end of it is for validation.
        tokenizer: the tokenizer that cuts it as the literature does.
        counts: the number of tokens of each file, line ends included, by which other editions are noticed.
        entries: the number of different tokens of the training text.
        bare_lines: whether the blanks at both ends of lines are removed.
    """

    title: str
    figure: str
    files: tuple[str, ...]
    tokenizer: str
    counts: tuple[int, ...]
    entries: int
    bare_lines: bool = False


@dataclasses.dataclass(frozen=True)
class Row:
    """A model to train.

    Attributes:
        corpus: a name in :data:`CORPORA`.
        minutes: the time limit.
        settings: settings of ``seqlm.train``.
        published: models, with the source of their figures, and the figures: on the test text if there is one.
    """

    corpus: str
    minutes: float
    settings: dict[str, Any]
    published: tuple[tuple[str, float], ...]


PTB = ("ptb.train.txt", "ptb.valid.txt", "ptb.test.txt")
CORPORA = {
    "ptb-words": Corpus("Penn Treebank, words", PERPLEXITY, PTB, "space", (929_589, 73_760, 82_430), 10_000),
    "ptb-characters": Corpus(
        "Penn Treebank, characters", BITS, PTB, "char", (5_017_482, 393_042, 442_423), 50, bare_lines=True
    ),
    "wikitext-2": Corpus(
        "WikiText-2, words",
        PERPLEXITY,
        ("wiki.train.tokens", "wiki.valid.tokens", "wiki.test.tokens"),
        "space",
        (2_088_628, 217_646, 245_569),
        33_278,
    ),
    "shakespeare": Corpus("tiny Shakespeare, last 10 %", NATS, ("tinyshakespeare.txt",), "char", (1_115_394,), 65),
    "sample": Corpus("seqlm's sample text, last 10 %", NATS, (str(SAMPLE_TEXT),), "char", (57_706,), 59),
}

ZAREMBA = "Zaremba et al., Recurrent Neural Network Regularization, 2014"
MERITY = "Merity et al., Regularizing and Optimizing LSTM Language Models, 2018"
PTB_WORDS = (
    (f"LSTM of 2 x 200 units ({ZAREMBA})", 114.5),
    (f"LSTM of 2 x 650 units ({ZAREMBA})", 82.7),
    (f"LSTM of 2 x 1,500 units ({ZAREMBA})", 78.4),
    ("LSTM of 2 x 1,500 units, tied (PyTorch, examples/word_language_model)", 72.3),
    (f"AWD-LSTM, 500 epochs on a GPU ({MERITY})", 57.3),
)

SHAKESPEARE = (
    ("nanoGPT, setting for a processor, 243 s on two cores (its README)", 1.886),
    ("nanoGPT, setting for a GPU (its README)", 1.4697),
    ("seqlm 0.1.0, an LSTM of 512 units, 200 s on two cores", 1.445),
)

# A last layer that is narrower than the others makes the output layer cheaper, which takes most of the time.
WORDS = {
    "cell": "lstm", "hidden_size": (640, 320), "embedding_size": 320, "tie_weights": True,
    "batch_size": 32, "sequence_length": 35, "optimizer": "adam", "learning_rate": 0.005,
    "input_dropout": 0.25, "embedding_dropout": 0.05, "layer_dropout": 0.2, "output_dropout": 0.3,
    "recurrent_dropout": 0.25, "activation_penalty": 2.0, "weight_decay": 0.1, "average": "ema",
}  # fmt: skip
# Three times as many words, of which most are rare, and fewer epochs.
WIKITEXT = {
    **WORDS, "output_layer": "adaptive", "weight_decay": 0.07,
    "input_dropout": 0.15, "layer_dropout": 0.15, "output_dropout": 0.2, "recurrent_dropout": 0.15,
}  # fmt: skip
CHARACTERS = {
    "cell": "lstm", "layers": 1, "hidden_size": 512, "batch_size": 32, "sequence_length": 100,
    "optimizer": "adam", "learning_rate": 0.005, "dropout": 0.2, "activation_penalty": 1.0, "weight_decay": 0.0,
}  # fmt: skip

# A million characters, read thirty times and more.
SHAKESPEARE_60 = {
    "cell": "lstm", "hidden_size": (512, 512), "batch_size": 32, "sequence_length": 100,
    "optimizer": "adam", "learning_rate": 0.005, "input_dropout": 0.0, "embedding_dropout": 0.0,
    "layer_dropout": 0.3, "output_dropout": 0.4, "recurrent_dropout": 0.3,
    "activation_penalty": 2.0, "weight_decay": 0.05, "average": "ema",
}  # fmt: skip

# Read some 20 times. The dropout is a little too low for that: docs/benchmarks.md says what came after it.
PTB_CHARACTERS = {
    "cell": "lstm", "hidden_size": (768, 768), "batch_size": 64, "sequence_length": 100,
    "optimizer": "adam", "learning_rate": 0.005,
    "layer_dropout": 0.1, "output_dropout": 0.1, "recurrent_dropout": 0.1,
    "activation_penalty": 1.0, "weight_decay": 0.1, "average": "ema",
}  # fmt: skip

SAMPLE = {
    "epochs": 23, "hidden_size": 448, "embedding_size": 96, "batch_size": 16, "dropout": 0.6,
    "activation_penalty": 2.0, "average": "ema", "average_decay": 0.995,
}  # fmt: skip
# Small enough to read the text eight times in ten minutes: with fewer epochs there is little to regularise.
ABLATED = {
    **WORDS, "hidden_size": (400, 200), "embedding_size": 200,
    "input_dropout": 0.2, "embedding_dropout": 0.1, "recurrent_dropout": 0.2, "temporal_activation_penalty": 1.0,
    "weight_decay": 0.02,
}  # fmt: skip
# What is left out, the published perplexity of AWD-LSTM without it, and the settings that leave it out.
ABLATION: dict[str, tuple[str, float | None, dict[str, Any]]] = {
    "ptb-ablation": ("", 57.3, {}),
    "ptb-ablation-embedding-dropout": ("embedding dropout", 62.7, {"embedding_dropout": 0.0}),
    "ptb-ablation-weight-decay": ("weight decay", 61.0, {"weight_decay": 0.0}),
    "ptb-ablation-penalties": (
        "penalties on activations",
        60.3,
        {"activation_penalty": 0.0, "temporal_activation_penalty": 0.0},
    ),
    "ptb-ablation-recurrent-dropout": ("weight dropping", 68.9, {"recurrent_dropout": 0.0}),
    "ptb-ablation-input-dropout": ("dropout of inputs", None, {"input_dropout": 0.0}),
    "ptb-ablation-layer-dropout": ("dropout between layers", None, {"layer_dropout": 0.0}),
    "ptb-ablation-output-dropout": ("dropout of outputs", None, {"output_dropout": 0.0}),
    "ptb-ablation-tied-weights": ("tied weights", None, {"tie_weights": False}),
    "ptb-ablation-average": ("averaged weights (NT-ASGD)", 63.7, {"average": "none"}),
}


def ablation_row(left_out: str, published: float | None, changes: dict[str, Any]) -> Row:
    name = f"AWD-LSTM without {left_out}, 750 epochs" if left_out else "AWD-LSTM, 750 epochs"
    figures = () if published is None else ((f"{name} ({MERITY}, table 4)", published),)
    return Row("ptb-words", 10, {**ABLATED, **changes}, figures)


ROWS = {
    "ptb-words-60": Row("ptb-words", 60, WORDS, PTB_WORDS),
    "ptb-words-150": Row("ptb-words", 150, {**WORDS, "hidden_size": (1024, 400), "embedding_size": 400}, PTB_WORDS),
    "ptb-characters": Row(
        "ptb-characters",
        150,
        PTB_CHARACTERS,
        (("AWD-LSTM (Merity et al., An Analysis of Neural Language Modeling at Multiple Scales, 2018)", 1.175),),
    ),
    "wikitext-2": Row(
        "wikitext-2",
        150,
        WIKITEXT,
        (
            ("LSTM of 2 x 200 units (gluon-nlp, its first figure)", 102.3),
            ("LSTM of 2 x 650 units (gluon-nlp, its first figure)", 93.9),
            ("LSTM of 2 x 650 units (gluon-nlp, its last figure)", 86.91),
            (f"AWD-LSTM ({MERITY})", 65.8),
        ),
    ),
    "shakespeare": Row("shakespeare", 243 / 60, CHARACTERS, SHAKESPEARE),
    "shakespeare-60": Row("shakespeare", 60, SHAKESPEARE_60, SHAKESPEARE),
    "sample": Row("sample", 0.3, SAMPLE, (("seqlm 0.1.0, an LSTM of 256 units, 18 s", 1.572),)),
    **{name: ablation_row(*parts) for name, parts in ABLATION.items()},
}
