"""Shows how far the reading of large texts is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from seqlm_core.reading.text import TextFile
from seqlm_core.storage.streams import BestEffortStream

SECONDS_BEFORE = 1.0
"""What takes less time is not shown."""


class ReadingProgress:
    """Shows a bar on a terminal while files are read once within the block. Elsewhere nothing is shown.

    Args:
        files: the files.
        doing: what is done, in a word or two.
        shown: whether the bar is wanted.
    """

    def __init__(self, files: Sequence[TextFile], doing: str, shown: bool) -> None:
        self._files = files
        self._doing = doing
        self._shown = shown
        self._bar: tqdm[Any] | None = None

    def __enter__(self) -> None:
        stream = BestEffortStream(sys.stderr)
        if not self._shown or not stream.has_columns():
            return
        self._bar = tqdm(
            desc=self._doing,
            total=sum(file.path.stat().st_size for file in self._files),
            unit="B",
            unit_scale=True,
            dynamic_ncols=True,
            delay=SECONDS_BEFORE,
            leave=False,
            file=stream,
        )
        for file in self._files:
            file.on_read = self._bar.update

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            for file in self._files:
                file.on_read = lambda size: None
            self._bar.close()
