"""What the tests of commands that repeat trainings share: trainings of both kinds, and their weights."""

from __future__ import annotations

from safetensors.numpy import load_file
from tagger_commands import as_text, toy_sequences, write

from seqlm_core.storage.files import read_json, write_json

SMALL = ["--hidden-size", "6", "--max-steps", "3", "--quiet"]
TEXT = ["book one.txt", "--sequence-length", "10", "--batch-size", "4", *SMALL]
COLUMNS = ["train.tsv", "--batch-size", "4", *SMALL]

TRAININGS = {
    "a language model": ["train", *TEXT],
    "what is chosen": ["train", "book one.txt", "--max-steps", "2", "--hidden-size", "6", "--quiet"],
    "words of unequal layers": [
        "train", *TEXT, "--tokenizer", "word", "--tokenizer-option", "boundaries=unicode", "--hidden-size", "8,5",
        "--tie-weights", "--embedding-size", "4", "--recurrent-dropout", "0.25", "--average", "ema", "--detect-anomaly",
        "--optimizer", "sgd", "--optimizer-option", "momentum=0.5", "--schedule", "constant", "--device", "cpu",
    ],
    "several texts": [
        "train", *TEXT, "books", "book one.txt", "--validation", "two.txt", "--validation", "books",
        "--documents", "file", "--cell", "bigru", "--min-count", "2", "--seed", "7",
    ],
    "another run's weights": ["train", *TEXT, "--init-from", "earlier run", "--seed", "5", "--learning-rate", "0.002"],
    "a plugin of a file": ["train", *TEXT, "--plugin", "it's mine.py", "--tokenizer", "letter-pairs"],
    "a tagger": ["tag", "train", *COLUMNS],
    "a tagger of much": [
        "tag", "train", *COLUMNS, "train.tsv", "--validation", "test.tsv", "--column", "2", "--label-column", "3",
        "--shapes", "--lowercase", "--char-cell", "gru", "--char-hidden-size", "4", "--vectors", "vectors.txt",
        "--tune-vectors", "--language-model", "earlier run", "--output-layer", "crf", "--constrain", "--best-by",
        "loss", "--char-cell-option", "activation=relu", "--char-cell", "rnn", "--encoding", "latin-1",
    ],
}  # fmt: skip


def prepare(folder, sample_text, plugin):
    """Write what the trainings read into a folder, but for the earlier run."""
    text = sample_text.read_text()
    write(folder / "book one.txt", text[:2500])
    (folder / "books").mkdir()
    for number in (1, 2):
        write(folder / "books" / f"{number}.txt", text[2500 * number : 2500 * number + 1200])
    write(folder / "two.txt", text[9000:10000])
    write(folder / "it's mine.py", plugin.read_text())
    for number, name in enumerate(["train.tsv", "test.tsv"]):
        write(folder / name, as_text(toy_sequences(20, seed=number), columns=(0, 1, 2)))
    write(folder / "vectors.txt", "the 1 2 3\nRome 2 1 0\ncat -1 0 4\n")


def weights(run):
    """Return all arrays of a run's last checkpoint: weights, their averages, and the state of the optimizer."""
    return load_file(run / "last.safetensors")


def same(one, other):
    return one.keys() == other.keys() and all((one[name] == other[name]).all() for name in one)


def make_longer(run, **settings):
    """Change the settings of a finished run so that it has steps left, as if it had been interrupted."""
    config = read_json(run / "config.json")
    config["settings"].update(settings)
    write_json(run / "config.json", config)
