"""Cuts texts into tokens by several processes, since a tokenizer in Python keeps one core busy.

The pieces of a text go to the processes, which return their distinct tokens, in order. So the tokens get the same
numbers as those that are cut by one process.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from loky import BrokenProcessPool, ProcessPoolExecutor

from seqlm_core.engine.system import IS_POSIX
from seqlm_core.engine.threads import usable_cores
from seqlm_core.errors import SeqlmError
from seqlm_core.plugins.components import rebuilt_tokenizer
from seqlm_core.plugins.guarded_tokenizer import learnt_as_json, origin_of
from seqlm_core.plugins.specs import CodingTokenizer, Tokenizer
from seqlm_core.plugins.tokenizer_origin import TokenizerOrigin
from seqlm_core.reading.documents import cutting_documents
from seqlm_core.reading.numbering import Cutter
from seqlm_core.reading.tokenizing import distinct_tokens

SMALLEST_TEXT = 1 << 24
"""Texts of fewer bytes are cut before several processes would have begun."""

AHEAD = 3
"""How many pieces each process may have waiting."""

SECONDS_BETWEEN_LOOKS = 1.0


@contextlib.contextmanager
def cutting_processes(tokenizer: Tokenizer, documents: str, size: int) -> Iterator[Cutter | None]:
    """Give a function that cuts pieces of a text by one process for each usable core; None if one process will do.

    Args:
        tokenizer: the tokenizer, which must not learn any more.
        documents: the setting of that name.
        size: the number of bytes of the text.
    """
    origin, processes = origin_of(tokenizer), usable_cores()
    quick = isinstance(cutting_documents(tokenizer, documents), CodingTokenizer)
    # Elsewhere the processes could not tell that the one that began them has ended.
    is_worth_it = IS_POSIX and not quick and origin is not None and processes > 1 and size >= SMALLEST_TEXT
    state = learnt_as_json(tokenizer) if is_worth_it else None
    if origin is None or state is None:
        yield None
        return
    try:
        executor = ProcessPoolExecutor(processes, initializer=_begin, initargs=(os.getpid(),))
    except (OSError, ImportError, NotImplementedError):  # a system without shared semaphores
        yield None
        return
    cut = functools.partial(_cut, origin, state, documents)

    def cutter(pieces: Iterator[str]) -> Iterator[tuple[list[str], np.ndarray]]:
        running: collections.deque[Any] = collections.deque()
        for piece in pieces:
            running.append(executor.submit(cut, piece))
            if len(running) > AHEAD * processes:
                yield running.popleft().result()
        yield from (future.result() for future in running)

    try:
        yield cutter
    except BrokenProcessPool as error:
        raise SeqlmError(
            "a process that cut the text into tokens was ended from outside, perhaps since there was too little memory"
        ) from error
    finally:
        executor.shutdown(kill_workers=True)


def _begin(parent: int) -> None:
    """Leave Ctrl-C to the parent process, and end with it, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(SECONDS_BETWEEN_LOOKS)
    os._exit(1)


def _cut(origin: TokenizerOrigin, state: str, documents: str, text: str) -> tuple[list[str], np.ndarray]:
    return distinct_tokens(cutting_documents(_tokenizer(origin, state), documents), text)


@functools.lru_cache(maxsize=1)
def _tokenizer(origin: TokenizerOrigin, state: str) -> Tokenizer:
    return rebuilt_tokenizer(origin, json.loads(state))
