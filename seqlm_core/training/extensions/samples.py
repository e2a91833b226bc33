"""Keeps texts sampled from the model during its training, and shows them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Callable

from seqlm_core.engine.randomness import generator
from seqlm_core.errors import one_line
from seqlm_core.generation.document_network import document_network
from seqlm_core.generation.generate import Uniforms, generate
from seqlm_core.generation.layer_network import LayerNetwork
from seqlm_core.generation.native_network import step_network
from seqlm_core.generation.network import TextNetwork
from seqlm_core.generation.prompts import cut_prompt
from seqlm_core.model.build import weights_of
from seqlm_core.model.language_network import LanguageNetwork
from seqlm_core.plugins.components import Component
from seqlm_core.plugins.specs import CellSpec
from seqlm_core.reading.corpus import Corpus
from seqlm_core.reading.documents import Documents
from seqlm_core.runs.history import SAMPLE
from seqlm_core.settings.decoding_rules import DecodingRules
from seqlm_core.training.extension import Extension, Record, Training
from seqlm_core.training.weight_average import WeightAverage

logger = logging.getLogger("seqlm")

SAMPLE_TOKENS = 200


class Samples(Extension):
    """Samples a text every ``every`` steps.

    Args:
        every: number of steps from one sample to the next, at least 1.
        sample: a function of the step that returns a sampled text.
        keep: a function that keeps a record of the history.
        average: the average of the weights, from which texts are sampled once there is one.
        shown: functions of the step and the text that show it.
    """

    def __init__(
        self,
        every: int,
        sample: Callable[[int], str],
        keep: Callable[[Record], None],
        average: WeightAverage,
        shown: Sequence[Callable[[int, str], None]] = (),
    ) -> None:
        self.every = every
        self.sample = sample
        self.keep = keep
        self.average = average
        self.shown = shown

    def on_step(self, training: Training) -> None:
        if training.step % self.every == 0 and training.stop_reason is None:
            training.collect_losses()
            try:
                with self.average.in_use():
                    text = self.sample(training.step).strip()
            except Exception as error:  # a sample that fails must not end the training
                logger.warning("no text could be sampled at step %d: %s", training.step, one_line(error))
                return
            epoch = round(training.step / training.task.steps_per_epoch, 4)
            self.keep({"kind": SAMPLE, "step": training.step, "epoch": epoch, "text": text})
            for show in self.shown:
                show(training.step, text)


class ModelSampler:
    """Samples from a network with its current weights. The text depends on the weights, the seed and the step only."""

    def __init__(
        self, network: LanguageNetwork, cell: Component[CellSpec], corpus: Corpus, seed: int, documents: str
    ) -> None:
        self.network = network
        self.cell = cell
        self.corpus = corpus
        self.seed = seed
        self._documents = Documents.of(documents, corpus.vocabulary, corpus.tokenizer)
        self._layers: LayerNetwork | None = None

    def __call__(self, step: int) -> str:
        uniforms = Uniforms([generator(self.seed, step, "sample during training")])
        vocabulary = self.corpus.vocabulary
        network = document_network(self._network(), self._documents)
        prompt = cut_prompt("", self.corpus.tokenizer, vocabulary, self._documents)
        drawn = generate(network, vocabulary, prompt, SAMPLE_TOKENS, DecodingRules(), uniforms)
        return self.corpus.tokenizer.detokenize([vocabulary.tokens[i] for some in drawn for i in some.tokens[0]])

    def _network(self) -> TextNetwork:
        if self.cell.spec.has_step(self.cell.options):
            return step_network(self.network.architecture, self.cell.spec, self.cell.options, weights_of(self.network))
        self._layers = self._layers or LayerNetwork(self.network)
        return self._layers
