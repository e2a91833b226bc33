"""The training in seqlm."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from training_speed.contestant import Contestant, fastest_product
from training_speed.model import LARGEST_NORM, LEARNING_RATE, Model


class SeqlmTraining:
    """A training as `seqlm train` makes it, without what watches it.

    Args:
        model: what to train.
        text: a file to train on; random ids without one.
        losses: where to put the loss of each step, which takes time.
    """

    def __init__(self, model: Model, text: Path | None = None, losses: list[float] | None = None) -> None:
        import seqlm_core as seqlm
        from seqlm_core.engine.mxnet import mx, nd
        from seqlm_core.model.architecture import LanguageArchitecture
        from seqlm_core.model.initialization import unique_parameters
        from seqlm_core.native.training import available_backends, training_precision
        from seqlm_core.plugins.components import Components
        from seqlm_core.reading.corpus import Corpus
        from seqlm_core.reading.text import TextFile
        from seqlm_core.reading.tokenized_text import TokenizedText
        from seqlm_core.reading.vocabulary import Vocabulary
        from seqlm_core.runs.training_files import TrainingFiles
        from seqlm_core.sessions.training_corpus import read_training_corpus
        from seqlm_core.settings.settings import LanguageSettings
        from seqlm_core.training.extension import Extension
        from seqlm_core.training.loop import TrainingLoop
        from seqlm_core.training.tasks.language import language_task
        from seqlm_core.training.updates import Updates

        class Losses(Extension):
            def on_report(self, training: Any, record: dict[str, Any]) -> None:
                losses.append(record["training_nats_per_token"])

        # MXNet's operators have one precision only.
        precision = model.precision if available_backends(model.precision) else "float32"
        wanted = LanguageSettings(
            cell=model.cell,
            hidden_size=model.units,
            layers=model.layers,
            embedding_size=model.units,
            dropout=0.0,
            activation_penalty=0.0,
            batch_size=model.batch,
            sequence_length=model.time,
            reset_probability=0.0,
            optimizer="adam",
            learning_rate=LEARNING_RATE,
            schedule="constant",
            warmup=0,
            clip_norm=LARGEST_NORM,
            validation_fraction=0.0,
            sample_every=0,
            epochs=10**6,
            device="cpu",
            precision=precision,
            **({} if losses is None else {"log_every": 1}),
        )
        components = Components.choose(wanted, seqlm.installed_plugins())
        settings = components.resolve(wanted)
        if text is None:
            ids = model.text()
            vocabulary = Vocabulary([str(token) for token in range(1, model.vocabulary)], [1] * model.vocabulary)
            tokenizer = components.build_tokenizer()
            corpus = Corpus(tokenizer, vocabulary, TokenizedText(ids, len(ids), 0), None)
        else:
            corpus = read_training_corpus(TrainingFiles((TextFile(text),)), components.build_tokenizer(), settings)
        architecture = LanguageArchitecture.choose(settings, False, len(corpus.vocabulary))
        device = mx.cpu()
        task = language_task(corpus, components, settings, architecture, device)
        self.network = task.network
        self.device = device
        watchers = [] if losses is None else [Losses()]
        self._loop = TrainingLoop(
            task,
            Updates(
                unique_parameters(task.network),
                components.build_optimizer(LEARNING_RATE),
                settings.clip_norm,
                components.optimizer.spec,
            ),
            LEARNING_RATE,
            settings,
            watchers,
            components.draw_from_mxnet,
        )
        self._settings = settings
        self._computing = lambda: training_precision(precision, device)
        self._wait = nd.waitall
        self._wait()

    def run(self, steps: int) -> None:
        """Take so many steps, to their end."""
        self._loop.settings = self._settings.replace(max_steps=self._loop.step + steps)
        self._loop.stop_reason = None
        with self._computing():
            self._loop.run()
            self._wait()


class SeqlmContestant(Contestant):
    """Trains with seqlm."""

    def __init__(self, threads: int) -> None:
        from seqlm_core.engine.mxnet import mx

        self._mx = mx

    def versions(self) -> dict[str, str]:
        from seqlm_core.version import __version__

        return {"seqlm": __version__, "MXNet": self._mx.__version__, "NumPy": np.__version__}

    def clear(self) -> None:
        self.training = None
        gc.collect()
        self._mx.nd.waitall()  # arrays go when nothing computes with them any more
        super().clear()

    def build(self, model: Model) -> dict[str, Any]:
        self.training = SeqlmTraining(model)
        return {}

    def losses(self, model: Model, steps: int) -> list[float]:
        from seqlm_core.model.build import load_weights

        losses: list[float] = []
        training = SeqlmTraining(model, losses=losses)
        load_weights(training.network, model.weights(), training.device)
        training.run(steps)
        return losses

    def take_first_step(self, model: Model, text: Path) -> None:
        SeqlmTraining(model, text).run(1)

    def peak(self) -> dict[str, float]:
        nd = self._mx.nd

        def in_mxnet(rows: int, columns: int, inner: int) -> Callable[[], None]:
            left, right = nd.random.uniform(shape=(rows, inner)), nd.random.uniform(shape=(columns, inner))
            return lambda: nd.FullyConnected(left, right, no_bias=True, num_hidden=columns).wait_to_read()

        def in_numpy(rows: int, columns: int, inner: int) -> Callable[[], None]:
            left, right = np.random.default_rng(1).random((2, rows * inner + columns * inner), dtype=np.float32)
            left, right = left[: rows * inner].reshape(rows, inner), right[: inner * columns].reshape(inner, columns)
            return lambda: np.matmul(left, right)

        return {"MXNet": fastest_product(in_mxnet), "NumPy": fastest_product(in_numpy)}
