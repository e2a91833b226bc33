"""A picture of which labels are taken for which."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seqlm_core.evaluation.pictures import families_for, file_of, plain, quiet_drawing
from seqlm_core.evaluation.scores import Confusion
from seqlm_core.storage.files import write_atomically

INCHES_OF_A_LABEL = 0.32
MOST_WITH_NUMBERS = 40
"""With more labels there is no room for numbers in the cells."""


def draw_confusion(confusion: Confusion, path: Path) -> None:
    """Draw a PNG file with a row for each true label and a column for each predicted one.

    A cell's colour is the share of the true label's occurrences, and its number is how many these are.

    Args:
        confusion: how often each true label is predicted as each label.
        path: the file to write.
    """
    labels = list(confusion)
    labels += sorted({label for row in confusion.values() for label in row} - set(labels), key=str)
    counts = np.array([[confusion.get(true, {}).get(label, 0) for label in labels] for true in labels])
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    # Imported here since it takes a second, and most commands draw nothing. Unlike pyplot, Figure opens no window.
    from matplotlib.figure import Figure

    side = 2.2 + INCHES_OF_A_LABEL * len(labels)
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, label="share of the true label", shrink=0.8)
    names = [plain(str(label)) for label in labels]
    families = families_for("".join(names))
    axes.set_xticks(range(len(labels)), names, rotation=90, family=families)
    axes.set_yticks(range(len(labels)), names, family=families)
    axes.set(xlabel="predicted label", ylabel="true label")
    for row, column in np.argwhere(counts) if len(labels) <= MOST_WITH_NUMBERS else ():
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", fontsize=6, color=colour)
    with quiet_drawing():
        write_atomically(path, file_of(figure))
