"""Decoding rules: which of the tokens that a model predicts may come, and how probable each is made."""

from __future__ import annotations

import dataclasses

from seqlm_core.settings.arguments import check_argument
from seqlm_core.settings.fields import setting, setting_types
from seqlm_core.settings.limits import check_limits

DEFAULT_TEMPERATURE = 0.5
# Above this, a token of any probability but nearly 1 never comes again; the log-probabilities could overflow.
HIGHEST_REPETITION_PENALTY = 1000


@dataclasses.dataclass(frozen=True)
class DecodingRules:
    """Rules for drawing tokens. The repetition penalty is applied first, the others in the order in which they stand.

    ``<unk>`` is never drawn.

    Attributes:
        temperature: divides the log-probabilities; 0 takes the most probable token.
        top_k: keeps the k most probable tokens, and those that are as probable as the last of them; 0 keeps all.
        top_p: keeps the fewest most probable tokens whose probabilities add up to it (Holtzman et al. 2020).
        min_p: keeps tokens whose probability is at least this share of that of the most probable one (Nguyen et al.
            2024).
        repetition_penalty: multiplies the log-probability of every token that is in the text already (after Keskar et
            al. 2019); above 1 it makes them less probable.
    """

    temperature: float = setting(
        DEFAULT_TEMPERATURE,
        "Divide the log-probabilities by X: below 1 the text gets more predictable, above 1 more surprising. 0 always "
        "takes the most probable token.",
        minimum=0,
    )
    top_k: int = setting(0, "Draw from the N most probable tokens only. 0 allows all tokens.", minimum=0)
    top_p: float = setting(
        1.0,
        "Draw from the most probable tokens only: from as few as have a total probability of X.",
        above=0,
        maximum=1,
    )
    min_p: float = setting(
        0.0,
        "Draw only from tokens that are at least X times as probable as the most probable one.",
        minimum=0,
        maximum=1,
    )
    repetition_penalty: float = setting(
        1.0,
        "Multiply the log-probability of each token that is in the text already by X. Above 1 makes repetitions less "
        "probable.",
        above=0,
        maximum=HIGHEST_REPETITION_PENALTY,
    )

    def __post_init__(self) -> None:
        types = setting_types(DecodingRules)
        for field in dataclasses.fields(self):
            value, kind = getattr(self, field.name), types[field.name]
            check_argument(field.name, value, kind)
            check_limits(field.name, value, kind, field.metadata)
