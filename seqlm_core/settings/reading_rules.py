"""Reading rules: what a trained language model takes from a text while it reads it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from seqlm_core.errors import SettingError
from seqlm_core.settings.fields import check_settings, make_settings, setting

LONGEST_WINDOW = 10_000
WINDOW = 50


@dataclasses.dataclass(frozen=True)
class ReadingRules:
    """What a language model takes from a text while it reads it. Each token is predicted before it is learnt from.

    Attributes:
        adapt: whether the weights are trained on the text while it is read: dynamic evaluation (Krause et al., Dynamic
            Evaluation of Neural Sequence Models, 2018).
        adapt_learning_rate: how far a weight goes with a step whose gradient is as large as those so far.
        adapt_decay: the share of the way back to the trained weights that is gone with each step.
        adapt_window: the number of tokens that are read, and then learnt from in one step.
        cache: the number of tokens just read that a continuous cache keeps with their hidden vectors (Grave et al.,
            Improving Neural Language Models with a Continuous Cache, 2017); 0 means no cache.
        cache_weight: the cache's share in each probability.
        cache_flatness: what the products of hidden vectors are multiplied by; the larger it is, the more the cache
            looks only to where the text before was alike. At 0 all of its tokens count the same.
    """

    adapt: bool = setting(
        False, "Train the model on each file while it reads it, after each prediction. The run itself is not changed."
    )
    adapt_learning_rate: float = setting(
        0.001, "Learning rate of this training.", minimum=1e-9, maximum=1, needs="adapt"
    )
    adapt_decay: float = setting(
        0.002,
        "Share of the way back to the run's weights that is gone with each of its steps.",
        minimum=0,
        maximum=1,
        needs="adapt",
    )
    adapt_window: int = setting(
        20,
        "Number of tokens that are read before each of its steps.",
        minimum=1,
        maximum=LONGEST_WINDOW,
        needs="adapt",
    )
    cache: int = setting(
        0, "Make the last N tokens more probable, above all those that followed a similar text. 0 does not.", minimum=0
    )
    cache_weight: float = setting(0.1, "Share of the cache in each probability.", above=0, below=1, needs="cache")
    cache_flatness: float = setting(
        0.6,
        "How much similarity counts in the cache. With 0 all of its tokens count the same.",
        minimum=0,
        maximum=1000,
        needs="cache",
    )

    def __post_init__(self) -> None:
        check_settings(self)

    def __bool__(self) -> bool:
        """Whether the model takes anything from the text at all."""
        return bool(self.adapt or self.cache)

    @property
    def window(self) -> int:
        """The number of tokens that are read at a time. Where nothing is adapted it changes no figure."""
        return self.adapt_window if self.adapt else WINDOW

    def to_json(self) -> dict[str, Any]:
        """Return the rules that are in force, by their names; none without ``adapt`` and ``cache``."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if getattr(self, field.metadata.get("needs", field.name))
        }

    def __str__(self) -> str:
        """What is in force, in words; empty if nothing is."""
        parts = []
        if self.adapt:
            parts.append(
                f"adapted (learning rate {self.adapt_learning_rate:g}, decay {self.adapt_decay:g}, "
                f"{self.adapt_window:,} tokens a step)"
            )
        if self.cache:
            parts.append(
                f"a cache of {self.cache:,} tokens (weight {self.cache_weight:g}, flatness {self.cache_flatness:g})"
            )
        return "; ".join(parts)


def reading_rules(given: Mapping[str, Any]) -> ReadingRules:
    """Return the rules that a user gave; the others have their defaults.

    Raises:
        UsageError: a name is no rule, a value is out of its range, or a rule is of no use without another one.
    """
    rules = make_settings(ReadingRules, given, called="argument or reading rule")
    for field in dataclasses.fields(rules):
        needed = field.metadata.get("needs")
        if field.name in given and needed and not getattr(rules, needed):
            raise SettingError(field.name, f"has no use without `{needed}`")
    return rules
