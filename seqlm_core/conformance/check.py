"""What a check is, how checks are run, and how their outcomes are shown."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Callable

from seqlm_core.plugins.components import Component
from seqlm_core.plugins.foreign import describe


class CheckFailure(Exception):  # noqa: N818 - the failure is the plugin's
    """A plugin does not do what a check demands. The message says what it does instead, and by how much."""


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing that plugins of a kind have to do.

    Attributes:
        demand: what plugins have to do, as the end of a sentence that begins with the name of the plugin.
        look_at: the parts of a plugin to look at if it does not do so.
        run: the function that checks a plugin. It returns what it measured, or raises :class:`CheckFailure`.
    """

    demand: str
    look_at: str
    run: Callable[[Component[Any]], str]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The outcome of one check of one plugin.

    Attributes:
        demand: what the plugin has to do; see :class:`Check`.
        passed: whether the plugin does it.
        detail: what was measured, or what went wrong.
        look_at: the parts of the plugin to look at; empty if it passed.
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
        # Texts that a tokenizer fails at may hold characters that a terminal cannot show or write.
        return text.encode("ascii", "backslashreplace").decode()


class Checks:
    """The checks of one kind of plugin, in the order in which they are run.

    ``@checks(demand, look_at)`` is a decorator that adds a function as a check.

    Args:
        parts: checks that come first.
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
    """Yield the outcome of each check of a plugin.

    All other checks need what the first one checks. So if it fails, the others are not run.
    """
    for check in checks:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pytest may turn them into errors, also those of MXNet
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
