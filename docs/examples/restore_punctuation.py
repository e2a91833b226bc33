"""Restore the capitals and the punctuation of a text that has lost them, with one direction and with two.

python docs/examples/restore_punctuation.py
python docs/examples/restore_punctuation.py novel.txt --one-sided gru --two-sided bigru --picture f1.png
"""

import argparse
import re
import tempfile
import textwrap
from collections import Counter, defaultdict
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import seqlm_core as seqlm

SAMPLE_TEXT = Path(__file__).resolve().parents[2] / "data" / "input.txt"
WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")  # don't, well-known
MARKS = {".": "full stops", ",": "commas", ";": "semicolons", ":": "colons", "?": "questions", "!": "exclamations"}
NOTHING = "a"  # the label of a word in small letters that no mark follows
COUNTED = {  # what F1 is measured for: a function returns what a label says about it, or False
    "all": lambda label: label != NOTHING and label,
    "sentence ends": lambda label: label[-1] in ".?!",
    **{name: lambda label, mark=mark: label[-1] == mark for mark, name in MARKS.items()},
    "capitals": lambda label: label[0] == "A",
}


def label_words(text):
    """Return the words in small letters, and a label for each: a, A or AA for its capitals, and the mark after it."""
    matches = list(WORD.finditer(text))
    ends = [following.start() for following in matches[1:]] + [len(text)]
    words, labels = [], []
    for match, end in zip(matches, ends):
        word = match[0]
        case = "AA" if word.isupper() and len(word) > 1 else "A" if word[0].isupper() else "a"
        mark = next((character for character in text[match.end() : end] if character in MARKS), "")
        words.append(word.lower())
        labels.append(case + mark)
    return words, labels


def restore(words, labels):
    """Return the text that words and labels make: the reverse of label_words."""
    spelled = {"a": str, "A": lambda word: word[0].upper() + word[1:], "AA": str.upper}
    return " ".join(spelled[label.rstrip(".,;:?!")](word) + label.lstrip("aA") for word, label in zip(words, labels))


def without_verse_capitals(text):
    """Lower the capital that begins a line within a sentence, unless the word has a capital everywhere."""
    elsewhere = set(WORD.findall(text))
    first_word = re.compile(rf"(?<=[\w,]\n){WORD.pattern}")
    return first_word.sub(lambda word: word[0].lower() if word[0].lower() in elsewhere else word[0], text)


def split(text, length):
    """Return examples for training, validation and test: stretches of words, which may contain sentence ends."""
    words, labels = label_words(text)
    examples = [(words[i : i + length], labels[i : i + length]) for i in range(0, len(words), length)]
    first, second = int(0.8 * len(examples)), int(0.9 * len(examples))
    if first == second:
        raise seqlm.UsageError(f"{len(words)} words are too few; take a longer text, or a smaller --length")
    return examples[:first], examples[first:second], examples[second:]


def answering_later(examples, later):
    """Move each label some words later, so that a model with one direction has read the next words too."""
    return [(words + ["<end>"] * later, [None] * later + labels) for words, labels in examples]


class Result(NamedTuple):
    name: str
    weights: int
    seconds: float
    predicted: list  # the label of each word of the test part, stretch by stretch


def train_and_label(name, training, validation, test, later=0, **settings):
    """Train a model, and label the test part with it."""
    with tempfile.TemporaryDirectory() as folder:
        training, validation, test = (answering_later(part, later) for part in (training, validation, test))
        # By the loss, since three of four labels are `a`, and the accuracy hardly tells whether others are found.
        model = seqlm.SequenceModel("tokens", "labels", best_by="loss", **settings)
        run = model.train(training, validation, out=Path(folder) / "run", quiet=True)
        predicted = run.predict([words for words, _ in test])
        weights = sum(weight.size for weight in run.weights.values())
        seconds = run.history()[-1]["seconds"]
    return Result(name, weights, seconds, [labels[later:] for labels in predicted])


def label_by_word(training, test):
    """Give each word its most frequent label in the training part, without looking at the words around it."""
    counts = defaultdict(Counter)
    for words, labels in training:
        for word, label in zip(words, labels):
            counts[word][label] += 1
    most_frequent = {word: count.most_common(1)[0][0] for word, count in counts.items()}
    return Result("most frequent", 0, 0.0, [[most_frequent.get(word, NOTHING) for word in words] for words, _ in test])


def figures(true, predicted):
    """Return the accuracy, and F1 (the harmonic mean of precision and recall) for each item of COUNTED."""
    found = {"accuracy": sum(label == guess for label, guess in zip(true, predicted)) / len(true)}
    for name, part in COUNTED.items():
        correct = sum(bool(part(label)) and part(label) == part(guess) for label, guess in zip(true, predicted))
        total = sum(bool(part(label)) for label in true + predicted)
        found[name] = 2 * correct / total if total else 0.0
    return found


def draw(measured, path):
    from matplotlib.figure import Figure

    groups = [name for name in COUNTED if name != "all"]
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.add_subplot()
    for i, (name, values) in enumerate(measured.items()):
        places = [group + (i + 0.5) / (len(measured) + 1) - 0.5 for group in range(len(groups))]
        axes.bar(places, [values[group] for group in groups], width=0.9 / (len(measured) + 1), label=name)
    axes.set_xticks(range(len(groups)), groups)
    axes.set(xlabel="what is restored", ylabel="F1 in the test part")
    axes.legend()
    figure.savefig(path, dpi=90)


def main():
    parser = argparse.ArgumentParser(description="Restore capitals and punctuation, with one direction and with two.")
    parser.add_argument("text", nargs="?", default=SAMPLE_TEXT, help="a text file; the sample text without it")
    parser.add_argument("--skip-lines", metavar="REGEX", help="leave out lines that match, such as names in a play")
    parser.add_argument("--verse", action="store_true", help="a capital that begins a line of verse does not count")
    parser.add_argument("--length", type=int, default=60, help="words in a stretch")
    parser.add_argument("--one-sided", default="lstm", metavar="CELL")
    parser.add_argument("--two-sided", default="bilstm", metavar="CELL")
    parser.add_argument("--hidden-size", type=int, default=128)
    parser.add_argument("--char-cell", metavar="CELL", help="also read the characters of words, with this cell")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--picture", metavar="FILE", help="draw F1 of each mark as a PNG file")
    parser.add_argument("--columns", metavar="FOLDER", help="write the examples for 'seqlm tag', and train nothing")
    arguments = parser.parse_args()

    text = Path(arguments.text).read_text(encoding="utf-8")
    if arguments.skip_lines:
        text = re.sub(rf"^(?:{arguments.skip_lines})\n", "", text, flags=re.MULTILINE)
    if arguments.verse:
        text = without_verse_capitals(text)
    parts = split(text, arguments.length)
    training, _, test = parts
    if arguments.columns:
        for name, examples in zip(("train", "validation", "test"), parts):
            stretches = ["".join(f"{word}\t{label}\n" for word, label in zip(*example)) for example in examples]
            (Path(arguments.columns) / f"{name}.tsv").write_text("\n".join(stretches), encoding="utf-8")
        return

    size, one, two = arguments.hidden_size, arguments.one_sided, arguments.two_sided
    common = {"embedding_size": max(1, size // 2), "dropout": 0.5, "epochs": arguments.epochs}
    common["char_cell"] = arguments.char_cell
    results = [
        Result("nothing", 0, 0.0, [[NOTHING] * len(words) for words, _ in test]),
        label_by_word(training, test),
        train_and_label(one, *parts, **common, cell=one, hidden_size=size),
        # Half as many units again make about as many weights as the second direction does.
        train_and_label(f"{one}, wider", *parts, **common, cell=one, hidden_size=size * 3 // 2),
        train_and_label(f"{one}, 2 words later", *parts, **common, cell=one, hidden_size=size, later=2),
        train_and_label(two, *parts, **common, cell=two, hidden_size=size),
    ]

    true = [label for _, labels in test for label in labels]
    measured = {result.name: figures(true, [*chain.from_iterable(result.predicted)]) for result in results}
    columns = ["accuracy", "all", "sentence ends", "commas", "capitals"]
    print("Accuracy, and F1 of all labels but 'a', of sentence ends, of commas and of capitals, in the test part")
    print(f"{'model':20}   weights  seconds  {'  '.join(f'{column:>8}' for column in columns)}")
    for result in results:
        values = "  ".join(f"{measured[result.name][column]:{max(8, len(column))}.4f}" for column in columns)
        print(f"{result.name:20}  {result.weights:8,}  {result.seconds:7.1f}  {values}")
    if arguments.picture:
        draw({result.name: measured[result.name] for result in results[2:]}, arguments.picture)

    words, labels = test[0]
    for name, given in [("original", labels)] + [(result.name, result.predicted[0]) for result in results[2::3]]:
        print(f"\n{name}:\n{textwrap.fill(restore(words, given), 100)}")


if __name__ == "__main__":
    try:
        main()
    except (seqlm.SeqlmError, OSError, UnicodeError, re.error) as error:
        raise SystemExit(f"error: {error}") from error
