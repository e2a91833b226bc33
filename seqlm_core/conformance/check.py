"""What a check is, how checks are run, and what they tell."""

from __future__ import annotations

import dataclasses
import sysconfig
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable

from seqlm_core.components import Component

CORE = Path(__file__).resolve().parents[1]
STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib")).resolve()
LIBRARIES = {"mxnet", "numpy"}


class CheckFailure(Exception):  # noqa: N818 - the failure is the plugin's
    """A plugin does not do what a check demands; the message says what it does instead, and by how much."""


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing that plugins of a kind have to do.

    Attributes:
        demand: what, as the end of a sentence that begins with the plugin.
        look_at: what to look at in a plugin that does not.
        run: does it, and returns what it measured, or raises :class:`CheckFailure`.
    """

    demand: str
    look_at: str
    run: Callable[[Component[Any]], str]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of one check of one plugin.

    Attributes:
        demand: see :class:`Check`.
        passed: whether the plugin does it.
        detail: what was measured, or what went wrong.
        look_at: see :class:`Check`; empty if it passed.
    """

    demand: str
    passed: bool
    detail: str
    look_at: str = ""

    def __str__(self) -> str:
        detail = f" ({self.detail})" if self.passed and self.detail else ""
        text = f"  ok      {self.demand}{detail}"
        if not self.passed:
            text = f"  FAILED  {self.demand}\n            {self.detail}\n            look at: {self.look_at}"
        # Texts that tokenizers fail at hold what no terminal shows, or what some cannot write.
        return text.encode("ascii", "backslashreplace").decode()


class Checks:
    """The checks of one kind of plugin, in the order in which they are run.

    Used as a decorator: ``@checks(demand, look_at)`` adds the function below it.
    """

    def __init__(self) -> None:
        self.all: list[Check] = []

    def __call__(
        self, demand: str, look_at: str
    ) -> Callable[[Callable[[Component[Any]], str]], Callable[[Component[Any]], str]]:
        def add(function: Callable[[Component[Any]], str]) -> Callable[[Component[Any]], str]:
            self.all.append(Check(demand, look_at, function))
            return function

        return add


def run_checks(checks: Sequence[Check], component: Component[Any]) -> Iterator[Outcome]:
    """Yield what comes of each check of a plugin.

    The first check is of what all others need; if it fails, they are not tried.
    """
    for check in checks:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pytest may make errors of them, of those of MXNet too
                outcome = Outcome(check.demand, True, check.run(component))
        except CheckFailure as failure:
            outcome = Outcome(check.demand, False, str(failure), check.look_at)
        except Exception as error:
            outcome = Outcome(check.demand, False, describe(error), check.look_at)
        yield outcome
        if not outcome.passed and check is checks[0]:
            return


def demand(condition: Any, problem: str) -> None:
    """Raise :class:`CheckFailure` unless the condition holds."""
    if not condition:
        raise CheckFailure(problem)


def describe(error: BaseException) -> str:
    """Return an error in one line, with the line of the plugin's own code that it came from."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    # MXNet puts the lines of its own C++ code before the message.
    text = f"{type(error).__name__}: {lines[-1] if lines[0].startswith('Traceback') else lines[0]}"
    while error.__cause__ is not None:
        error = error.__cause__
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_of_a_plugin(Path(frame.filename))]
    return f"{text} ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else text


def _is_of_a_plugin(file: Path) -> bool:
    """Whether a file is neither of seqlm itself nor of what it is built on."""
    installed = {"site-packages", "dist-packages"} & set(file.parts)
    of_python = STANDARD_LIBRARY in file.resolve().parents and not installed
    return not of_python and CORE not in file.resolve().parents and not LIBRARIES & set(file.parts)
