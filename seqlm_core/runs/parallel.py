"""What several processes do with a language model, each of which opens its run for itself."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any, Callable

import numpy as np

from seqlm_core.engine.processes import InOrder, here_in_order, processes_in_order
from seqlm_core.errors import RunError, SettingError
from seqlm_core.evaluation.parts import Stretch, stretch_bits
from seqlm_core.generation.prompts import Prompt
from seqlm_core.generation.text_generator import GeneratedText, side_by_side
from seqlm_core.plugins.files import load_plugin
from seqlm_core.plugins.registry import THIS_PROGRAM, Source
from seqlm_core.runs.networks import window_network
from seqlm_core.settings.decoding_rules import DecodingRules
from seqlm_core.storage.checkpoint import digest_in

BLOCKS_OF_EACH = 4
"""Where there are few texts, each process still gets so many blocks of them, so that all end at about the same time."""

Make = Callable[[int, GeneratedText], Any]
"""Makes something of the number of a text, from 0 on, and the text. Other processes find it as part of a module."""


@dataclasses.dataclass(frozen=True)
class SharedRun:
    """A run that other processes can open.

    Attributes:
        kind: the class of the run.
        path: its directory.
        digest: that of its weights.
        plugin_files: the files of its plugins that are not installed.
    """

    kind: type
    path: str
    digest: str
    plugin_files: tuple[str, ...]

    @classmethod
    def of(cls, run: Any, sources: Sequence[Source]) -> SharedRun:
        """Return what others need to open a run.

        Args:
            run: the run.
            sources: where its plugins came from.

        Raises:
            SettingError: other processes cannot, since the running program has registered a plugin.
        """
        if THIS_PROGRAM in sources:
            raise SettingError(
                "jobs", "needs plugins that are installed or in files, since other processes have to load them, too"
            )
        files = dict.fromkeys(source.file for source in sources if source.file is not None)
        return cls(type(run), str(run.path.resolve()), digest_in(run.weights_file), tuple(files))

    def open(self) -> Any:
        """Return the run.

        Raises:
            RunError: its weights have changed meanwhile.
        """
        for file in self.plugin_files:
            load_plugin(file)
        run = self.kind(self.path)
        if digest_in(run.weights_file) != self.digest:
            raise RunError(f"the weights of {self.path} have changed meanwhile")
        return run


_opened = functools.lru_cache(maxsize=1)(SharedRun.open)


@contextlib.contextmanager
def jobs_in_order(jobs: int, doing: str) -> Iterator[InOrder]:
    """Give a function that applies others in several processes; in this one if there is one job, or no other way."""
    if jobs == 1:
        yield here_in_order
        return
    with processes_in_order(jobs, doing) as in_order:
        yield in_order or here_in_order


@dataclasses.dataclass(frozen=True)
class Drawing:
    """How texts are drawn; see :class:`~seqlm_core.generation.text_generator.TextGenerator`."""

    prompt: Prompt
    length: int
    rules: DecodingRules
    seed: int
    stops: tuple[str, ...]

    def texts(self, run: Any, numbers: range) -> Iterator[GeneratedText]:
        """Yield the texts with these numbers, which are drawn side by side."""
        arguments = (self.prompt, numbers, self.length, self.rules, self.seed, self.stops)
        texts: Iterator[GeneratedText] = run.generator.whole_texts(*arguments)
        return texts


def draw_texts(
    run: Any, shared: SharedRun | None, drawing: Drawing, numbers: range, jobs: int, make: Make | None
) -> Iterator[Any]:
    """Yield texts, or what is made of them where they are drawn, in their order.

    Args:
        run: the run.
        shared: what other processes open; None if there is one job.
        drawing: how they are drawn.
        numbers: the numbers of the texts, from 0 on.
        jobs: the number of processes.
        make: makes something of a number and its text; None makes the text itself.
    """
    most = -(-len(numbers) // (BLOCKS_OF_EACH * jobs))
    blocks = list(side_by_side(numbers, drawing.length, most)) if jobs > 1 else side_by_side(numbers, drawing.length)
    if shared is None:
        for block in blocks:
            yield from _made(run, drawing, make, block)
        return
    with jobs_in_order(jobs, "drew texts") as in_order:
        for texts in in_order(functools.partial(_draw, shared, drawing, make), blocks):
            yield from texts


def _draw(shared: SharedRun, drawing: Drawing, make: Make | None, numbers: range) -> list[Any]:
    return list(_made(_opened(shared), drawing, make, numbers))


def _made(run: Any, drawing: Drawing, make: Make | None, numbers: range) -> Iterator[Any]:
    texts = drawing.texts(run, numbers)
    return texts if make is None else map(make, numbers, texts)


def compute_stretch(shared: SharedRun, stretch: Stretch) -> np.ndarray:
    """Return the surprisals of a stretch of text; see :func:`~seqlm_core.evaluation.parts.stretch_bits`."""
    # What ends a document is said with the stretch.
    return stretch_bits(_window_network(shared), stretch)


@functools.lru_cache(maxsize=1)
def _window_network(shared: SharedRun) -> Any:
    return window_network(_opened(shared))
