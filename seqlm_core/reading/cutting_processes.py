"""Cuts texts into tokens by several processes, since a tokenizer in Python keeps one core busy.

The pieces of a text go to the processes, which return their distinct tokens, in order. So the tokens get the same
numbers as those that are cut by one process.
"""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Iterator

import numpy as np

from seqlm_core.engine.processes import processes_in_order
from seqlm_core.engine.threads import usable_cores
from seqlm_core.plugins.components import rebuilt_tokenizer
from seqlm_core.plugins.guarded_tokenizer import learnt_as_json, origin_of
from seqlm_core.plugins.specs import CodingTokenizer, Tokenizer
from seqlm_core.plugins.tokenizer_origin import TokenizerOrigin
from seqlm_core.reading.documents import cutting_documents
from seqlm_core.reading.numbering import Cutter
from seqlm_core.reading.tokenizing import distinct_tokens

SMALLEST_TEXT = 1 << 24
"""Texts of fewer bytes are cut before several processes would have begun."""


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
    is_worth_it = not quick and origin is not None and processes > 1 and size >= SMALLEST_TEXT
    state = learnt_as_json(tokenizer) if is_worth_it else None
    if origin is None or state is None:
        yield None
        return
    cut = functools.partial(_cut, origin, state, documents)
    with processes_in_order(processes, "cut the text into tokens") as in_order:
        yield None if in_order is None else functools.partial(in_order, cut)


def _cut(origin: TokenizerOrigin, state: str, documents: str, text: str) -> tuple[list[str], np.ndarray]:
    return distinct_tokens(cutting_documents(_tokenizer(origin, state), documents), text)


@functools.lru_cache(maxsize=1)
def _tokenizer(origin: TokenizerOrigin, state: str) -> Tokenizer:
    return rebuilt_tokenizer(origin, json.loads(state))
