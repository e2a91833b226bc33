"""What a check is, how checks are run, and what they tell."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Callable

from seqlm_core.plugins.components import Component
from seqlm_core.plugins.foreign import describe


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

    Args:
        parts: checks to begin with.
    """

    def __init__(self, *parts: Checks) -> None:
        self.all: list[Check] = [check for part in parts for check in part.all]

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
