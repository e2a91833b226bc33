"""Shows how far the reading of large texts is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from seqlm_core.display.bar import Bar
from seqlm_core.reading.compression import is_compressed
from seqlm_core.reading.text import TextFile


@contextlib.contextmanager
def reading_progress(files: Sequence[TextFile], doing: str, shown: bool) -> Iterator[None]:
    """Show a bar on a terminal while files are read once within the block. Elsewhere nothing is shown.

    Args:
        files: the files.
        doing: what is done, in a word or two.
        shown: whether the bar is wanted, also if bars are not wanted in general.
    """
    with Bar(doing, sum(file.path.stat().st_size for file in files), shown) as bar:
        for file in files:
            file.on_read = bar.advance
        try:
            yield
        finally:
            for file in files:
                file.on_read = lambda size: None


def size_of_texts(files: Sequence[TextFile]) -> int:
    """Return the number of bytes of the texts in files; 0 if it is not known, as some are compressed."""
    if any(is_compressed(file.path) for file in files):
        return 0
    return sum(file.path.stat().st_size for file in files)
