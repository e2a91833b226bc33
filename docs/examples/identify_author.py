"""Find out who wrote a short string. Each text file is one class. Without files, the classes are five languages.

python docs/examples/identify_author.py
python docs/examples/identify_author.py austen.txt melville.txt --details 40 --picture accuracy.png
"""

import argparse
import collections
import itertools
import math
import tempfile
import time
from pathlib import Path

import seqlm_core as seqlm

LANGUAGES = sorted((Path(__file__).resolve().parent / "languages").glob("*.txt"))
LENGTHS = (10, 20, 40, 80)  # characters of a string


def read_parts(paths: list) -> dict:
    """Cut all texts to the length of the shortest; return the training, validation and test part of each."""
    try:
        texts = {path.stem: " ".join(path.read_text("utf-8").split()) for path in map(Path, paths)}
    except (OSError, UnicodeDecodeError) as error:
        raise seqlm.UsageError(f"a text cannot be read: {error}") from error
    if len(texts) < 2 or len(texts) < len(paths):
        raise seqlm.UsageError("two or more files are needed, each with a name of its own")
    size = min(map(len, texts.values()))
    if size < 20 * max(LENGTHS):
        raise seqlm.UsageError(f"the shortest text has {size} characters, and {20 * max(LENGTHS)} are needed")
    ends = size * 7 // 10, size * 8 // 10
    return {name: (text[: ends[0]], text[ends[0] : ends[1]], text[ends[1] : size]) for name, text in texts.items()}


def cut(text: str, length: int, stride: int) -> list:
    return [text[i : i + length] for i in range(0, len(text) - length + 1, stride)]


def strings(texts: dict, length: int, stride: int) -> list:
    """Return examples of one length. Each has the characters of a string, and the name of its class."""
    return [(list(string), name) for name, text in texts.items() for string in cut(text, length, stride)]


class NaiveBayes:
    """Naive Bayes: predicts the class in which the character n-grams of a string are most probable.

    The n-grams are taken as independent.

    Args:
        texts: the text of each class; all have the same number of characters.
        longest: number of characters of the longest n-grams; shorter ones are counted too.
        added: number that is added to the count of each n-gram, so that none has probability 0.
    """

    def __init__(self, texts: dict, longest: int, added: float) -> None:
        self.longest = longest
        counts = {name: collections.Counter(self.ngrams(text)) for name, text in texts.items()}
        different = len(set().union(*counts.values()))
        self.scores = {}
        for name, found in counts.items():
            total = sum(found.values()) + added * different
            known = {ngram: math.log((count + added) / total) for ngram, count in found.items()}
            self.scores[name] = known, math.log(added / total)

    def ngrams(self, text: str) -> list:
        return [ngram for n in range(1, self.longest + 1) for ngram in cut(text, n, 1)]

    def predict(self, text: str) -> str:
        def score(name: str) -> float:
            known, unseen = self.scores[name]
            return sum(known.get(ngram, unseen) for ngram in ngrams)

        ngrams = self.ngrams(text)
        return max(self.scores, key=score)

    def accuracy(self, examples: list) -> float:
        return sum(self.predict("".join(characters)) == name for characters, name in examples) / len(examples)


def draw(path: str, accuracies: dict) -> None:
    """Draw accuracy over length, with a line for each method."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for (name, shares), style in zip(accuracies.items(), (":", "s--", "o-", "^-", "v-", "d-")):
        axes.plot(LENGTHS, [100 * share for share in shares], style, label=name)
    axes.set(xscale="log", xlabel="length of the string (characters)", ylabel="accuracy (% of the test strings)")
    axes.set_xticks(LENGTHS, map(str, LENGTHS))
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=90)


def main() -> None:
    parser = argparse.ArgumentParser(description="Learn to tell from which of some texts a short string comes.")
    parser.add_argument("texts", nargs="*", default=LANGUAGES, help="a file for each class; five languages without any")
    parser.add_argument("--stride", type=int, default=10, help="characters from one string's beginning to the next's")
    parser.add_argument("--cells", nargs="+", default=["bilstm"], help="a model is trained with each of them")
    parser.add_argument("--hidden-size", type=int, default=64)
    parser.add_argument("--dropout", type=float, default=0.5)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--details", type=int, default=20, choices=LENGTHS, help="length of the strings of the details")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--picture", help="a PNG file to draw accuracy over length to")
    arguments = parser.parse_args()
    if arguments.stride < 1:
        raise seqlm.UsageError(f"the stride must be at least 1, not {arguments.stride}")

    parts = read_parts(arguments.texts)
    training, validation, test = (
        {
            length: strings({name: part[i] for name, part in parts.items()}, length, arguments.stride)
            for length in LENGTHS
        }
        for i in range(3)
    )
    learnt, held_out = (list(itertools.chain(*part.values())) for part in (training, validation))
    candidates = [
        NaiveBayes({name: part[0] for name, part in parts.items()}, longest, added)
        for longest in (2, 3, 4, 5)
        for added in (0.1, 1)
    ]
    bayes = max(candidates, key=lambda candidate: candidate.accuracy(validation[arguments.details]))
    accuracies = {
        "any one class": [1 / len(parts)] * len(LENGTHS),
        f"{bayes.longest}-grams": [bayes.accuracy(test[length]) for length in LENGTHS],
    }
    for cell in arguments.cells:
        start = time.perf_counter()
        sizes = {"hidden_size": arguments.hidden_size, "dropout": arguments.dropout, "epochs": arguments.epochs}
        # By the loss, since the probabilities of the classes are shown.
        model = seqlm.SequenceModel("tokens", "label", cell=cell, seed=arguments.seed, best_by="loss", **sizes)
        with tempfile.TemporaryDirectory() as folder:
            run = model.train(learnt, held_out, out=Path(folder) / "run", quiet=True)
            evaluations = {length: run.evaluate(test[length]) for length in LENGTHS}
            accuracies[cell] = [evaluations[length].accuracy for length in LENGTHS]
            probabilities = run.probabilities([characters for characters, _ in test[arguments.details]])
        print(f"{cell}: {len(learnt):,} strings to train on, {time.perf_counter() - start:.0f} s")

    print("\ncharacters   ", *(f"{length:7}" for length in LENGTHS))
    print("test strings ", *(f"{len(test[length]):7,}" for length in LENGTHS))
    for name, shares in accuracies.items():
        print(f"{name:13}", *(f"{share:7.3f}" for share in shares))

    print(f"\n{cell}, {arguments.details} characters  precision  recall     F1  strings")
    for name, score in evaluations[arguments.details].labels.items():
        print(f"{name:24.24} {score.precision:7.3f} {score.recall:7.3f} {score.f1:7.3f} {score.support:7,}")

    print("\nThe surest mistakes (probability, predicted, true):")
    found = [
        (row.max(), run.labels[row.argmax()], *example) for row, example in zip(probabilities, test[arguments.details])
    ]
    mistakes = sorted((row for row in found if row[1] != row[3]), reverse=True)
    for probability, predicted, characters, name in mistakes[:5]:
        print(f"{probability:.2f}  {predicted}, {name}: {''.join(characters)}")
    if arguments.picture:
        draw(arguments.picture, accuracies)


if __name__ == "__main__":
    try:
        main()
    except seqlm.SeqlmError as error:
        raise SystemExit(f"error: {error}") from error
