"""Shows how far the reading of large texts is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from seqlm_core.display.bar import Bar
from seqlm_core.reading.text import TextFile


@contextlib.contextmanager
def reading_progress(files: Sequence[TextFile], doing: str, shown: bool) -> Iterator[None]:
    """Show a bar on a terminal while files are read once within the block. Elsewhere nothing is shown.

    Args:
        files: the files.
        doing: what is done, in a word or two.
        shown: whether the bar is wanted.
    """
    total = sum(file.path.stat().st_size for file in files) if shown else None
    with Bar(doing, total, shown) as bar:
        for file in files:
            file.on_read = bar.advance
        try:
            yield
        finally:
            for file in files:
                file.on_read = lambda size: None
