"""Decoding rules: which of the tokens that a model predicts may come, and how probable each is made."""

from __future__ import annotations

import dataclasses

from seqlm_core.errors import SettingError
from seqlm_core.settings.arguments import check_argument

DEFAULT_TEMPERATURE = 0.5
# Above this, a token of any probability but nearly 1 never comes again; the log-probabilities could overflow.
HIGHEST_REPETITION_PENALTY = 1000.0


@dataclasses.dataclass(frozen=True)
class DecodingRules:
    """Rules for drawing tokens, applied in the order of these attributes; ``<unk>`` is never drawn.

    Attributes:
        repetition_penalty: multiplies the log-probability of every token that is in the text already (after Keskar et
            al. 2019); above 1 it makes them less probable.
        temperature: divides the log-probabilities; 0 takes the most probable token.
        top_k: keeps the k most probable tokens, and those that are as probable as the last of them; 0 keeps all.
        top_p: keeps the fewest most probable tokens whose probabilities add up to it (Holtzman et al. 2020).
        min_p: keeps tokens that are at least so probable as a share of the most probable one (Nguyen et al. 2024).
    """

    repetition_penalty: float = 1.0
    temperature: float = DEFAULT_TEMPERATURE
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            check_argument(field.name, getattr(self, field.name), int if field.name == "top_k" else float)
        if not 0 < self.repetition_penalty <= HIGHEST_REPETITION_PENALTY:
            limits = f"above 0 and at most {HIGHEST_REPETITION_PENALTY:g}"
            raise SettingError("repetition_penalty", f"must be {limits}, not {self.repetition_penalty}")
        if not 0 <= self.temperature < float("inf"):
            raise SettingError("temperature", f"must be a number of at least 0, not {self.temperature}")
        if self.top_k < 0:
            raise SettingError("top_k", f"must be at least 0, not {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise SettingError("top_p", f"must be above 0 and at most 1, not {self.top_p}")
        if not 0 <= self.min_p <= 1:
            raise SettingError("min_p", f"must be from 0 to 1, not {self.min_p}")
