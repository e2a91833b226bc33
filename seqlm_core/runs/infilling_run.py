"""The run of a language model as far as it fills gaps."""

from __future__ import annotations

from collections.abc import Iterator

from seqlm_core.errors import RunError
from seqlm_core.generation.chains import CandidateSearch
from seqlm_core.generation.checks import check_infilling, checked_seed
from seqlm_core.generation.gaps import DEFAULT_MARK, MOST_TOKENS_OF_MARK, cut_gapped_text
from seqlm_core.generation.infilling import DEFAULT_SWEEPS, InfilledText, Infiller
from seqlm_core.generation.prompts import warn_of_unknown
from seqlm_core.plugins.loading import installed_plugins
from seqlm_core.runs.generating_run import GeneratingRun
from seqlm_core.settings.arguments import check_argument


class InfillingRun(GeneratingRun):
    """The model of a run, and the gaps that it fills; see :class:`~seqlm_core.runs.language_run.LanguageRun`."""

    def infill(
        self,
        text: str,
        *,
        gap: int = 1,
        mark: str = DEFAULT_MARK,
        count: int = 1,
        sweeps: int = DEFAULT_SWEEPS,
        temperature: float = 0.0,
        seed: int | None = None,
    ) -> list[InfilledText]:
        """Return the text with its gaps filled by a bidirectional model; see :mod:`seqlm_core.generation.infilling`.

        Args:
            text: a text with a mark in the place of each gap. A warning names tokens that the model does not know.
            gap: the number of tokens that each mark stands for.
            mark: the text that marks a gap.
            count: the number of texts, each filled differently. At temperature 0 it is at most 1000, and there may be
                fewer texts.
            sweeps: how often each missing token is drawn again, at most 1000.
            temperature: 0 returns the most probable fillings that were found, the best first; above 0, fillings are
                drawn.
            seed: the same seed gives the same texts. None draws a seed, or is 0 at temperature 0.

        Raises:
            RunError: the model is not bidirectional.
            SettingError: an argument is out of its range.
            UsageError: the text has no mark.
        """
        filled = self.infill_each(
            text, gap=gap, mark=mark, count=count, sweeps=sweeps, temperature=temperature, seed=seed
        )
        return list(filled)

    def infill_each(
        self,
        text: str,
        *,
        gap: int = 1,
        mark: str = DEFAULT_MARK,
        count: int = 1,
        sweeps: int = DEFAULT_SWEEPS,
        temperature: float = 0.0,
        seed: int | None = None,
    ) -> Iterator[InfilledText]:
        """Yield the texts of :meth:`infill`, with its arguments and errors, one after the other.

        Above temperature 0 each text is drawn when it is asked for, so the memory does not grow with their number.
        """
        if not self.architecture.bidirectional:
            cells = [entry.spec.name for entry in installed_plugins().cells if entry.spec.bidirectional]
            raise RunError(
                f"{self.path} holds a model of cell {self.cell.spec.name!r}, which reads from the left only; gaps are "
                f"filled by a bidirectional one: {', '.join(cells)}"
            )
        check_argument("text", text, str)
        check_argument("mark", mark, str)
        check_argument("gap", gap, int, minimum=1, maximum=MOST_TOKENS_OF_MARK)
        check_infilling(count, sweeps, temperature)
        search = CandidateSearch(sweeps, temperature, checked_seed(0 if seed is None and temperature == 0 else seed))
        gapped = cut_gapped_text(text, mark, gap, self._cutting, self.vocabulary)
        warn_of_unknown(gapped.known_tokens(), self.vocabulary, "the text")
        length = self.settings.sequence_length
        infiller = Infiller(self.network, self.vocabulary, self.tokenizer, length - 1, self._start)
        return infiller.fill(gapped, count, search)
