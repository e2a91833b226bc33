"""Which parts of files are read."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from seqlm_core.reading.documents import with_line_end
from seqlm_core.reading.text import TextFile, check_readable
from seqlm_core.settings.settings import LINE_DOCUMENTS, NO_DOCUMENTS


def whole(files: Sequence[TextFile], encoding: str, documents: str = NO_DOCUMENTS) -> Iterator[Iterator[str]]:
    """Yield the blocks of each file; with documents each ends with a line feed."""
    for file in files:
        check_readable(file)
        blocks = file.blocks(encoding)
        yield blocks if documents == NO_DOCUMENTS else with_line_end(blocks)


def part(
    files: Sequence[TextFile],
    lengths: Sequence[int],
    encoding: str,
    start: int,
    stop: int,
    documents: str = NO_DOCUMENTS,
) -> Iterator[Iterator[str]]:
    """Yield the blocks of each file that lie between the characters ``start`` and ``stop`` of all files together.

    Args:
        files: the files.
        lengths: the length of each file in characters.
        encoding: the encoding of all files.
        start: where the part starts.
        stop: where the part ends.
        documents: the setting of that name; with documents the end of a file is a line feed.
    """
    before = 0
    for file, length in zip(files, lengths):
        first, last = max(0, start - before), min(length, stop - before)
        if first < last:
            blocks = _between(file.blocks(encoding), first, last)
            yield with_line_end(blocks) if documents != NO_DOCUMENTS and last == length else blocks
        before += length


def both_parts(
    files: Sequence[TextFile], lengths: Sequence[int], encoding: str, cut: int, documents: str
) -> tuple[Iterator[Iterator[str]], Iterator[Iterator[str]]]:
    """Return the parts of files before and after the character ``cut``, as :func:`part` does, in one pass.

    The first part has to be read to its end before the second one.
    """
    blocks_after: list[Iterator[str]] = []

    def ended(blocks: Iterator[str]) -> Iterator[str]:
        return with_line_end(blocks) if documents != NO_DOCUMENTS else blocks

    def before() -> Iterator[Iterator[str]]:
        position = 0
        for file, length in zip(files, lengths):
            blocks = file.blocks(encoding)
            if length and position + length <= cut:
                yield ended(blocks)
            elif length and position < cut:
                yield _up_to(cut - position, blocks, blocks_after)
                blocks_after.append(blocks)
            position += length

    def after() -> Iterator[Iterator[str]]:
        if blocks_after:
            yield ended(itertools.chain.from_iterable(blocks_after))
        starts = itertools.accumulate(lengths, initial=0)
        for file, start, length in zip(files, starts, lengths):
            if start >= cut and length:
                yield ended(file.blocks(encoding))

    return before(), after()


def _up_to(length: int, blocks: Iterator[str], rest: list[Iterator[str]]) -> Iterator[str]:
    """Yield so many characters of a text; what else is in the last of its blocks is put into ``rest``."""
    for block in blocks:
        if len(block) >= length:
            rest.append(iter([block[length:]]))
            yield block[:length]
            return
        length -= len(block)
        yield block


def _between(blocks: Iterable[str], first: int, last: int) -> Iterator[str]:
    """Yield the characters ``first`` to ``last`` of a text that comes in blocks."""
    position = 0
    for block in blocks:
        kept = block[max(0, first - position) : max(0, last - position)]
        if kept:
            yield kept
        position += len(block)
        if position >= last:
            return


def validation_start(
    files: Sequence[TextFile], lengths: Sequence[int], encoding: str, wanted: int, documents: str
) -> int:
    """Return the character with which the validation part begins: the wanted one, or one near to it.

    With documents the part begins with one: with the next line, or with the file that begins nearest to the wanted
    place, unless that would make the part less than half or more than twice as long as it should be.

    Args:
        files: the files.
        lengths: the length of each file in characters.
        encoding: the encoding of all files.
        wanted: the character with which the part should begin.
        documents: the setting of that name.
    """
    end = sum(lengths)
    if documents == NO_DOCUMENTS or not wanted:
        return wanted
    if documents == LINE_DOCUMENTS:
        found = _line_end(part(files, lengths, encoding, wanted - 1, end), wanted - 1)
        return found if found < end else wanted
    starts = list(itertools.accumulate(lengths))[:-1]
    nearest = min(starts, key=lambda start: abs(start - wanted), default=wanted)
    return nearest if (end - wanted) / 2 <= end - nearest <= 2 * (end - wanted) and nearest else wanted


def _line_end(files: Iterable[Iterator[str]], position: int) -> int:
    """Return where the line ends that has the character at ``position``, with which the files begin."""
    for block in next(iter(files)):
        found = block.find("\n")
        if found >= 0:
            return position + found + 1
        position += len(block)
    return position
