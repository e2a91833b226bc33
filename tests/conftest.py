"""What several tests share."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest
from native_libraries import require_library

# Where a shell has begun the tests in the background, they ignore Ctrl-C, and so would all programs that they start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Several test processes share the machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# No test depends on what an earlier one prepared.
os.environ["SEQLM_CACHE_LIMIT"] = "0"

import seqlm_core as seqlm

pytest_plugins = ["page_fixtures"]

SAMPLE_TEXT = Path(__file__).resolve().parents[1] / "data" / "input.txt"
SMALL = {"hidden_size": 16, "sequence_length": 20, "batch_size": 8, "dropout": 0.1, "log_every": 10, "sample_every": 0}


@pytest.fixture(scope="session")
def generation_library():
    """For tests of the native loop that generates text."""
    from seqlm_core.native.generation import generation_library

    require_library("generation", generation_library() is not None)


@pytest.fixture(scope="session")
def training_library():
    """For tests of the native operators that train."""
    from seqlm_core.native.training import available_backends

    require_library("training", len(available_backends()) > 1)


class OfTheseSpecs:
    """A plugin that offers records."""

    def __init__(self, *specs):
        self._specs = specs

    @seqlm.hookimpl
    def seqlm_cells(self):
        return [spec for spec in self._specs if spec.kind == "cell"]

    @seqlm.hookimpl
    def seqlm_tokenizers(self):
        return [spec for spec in self._specs if spec.kind == "tokenizer"]

    @seqlm.hookimpl
    def seqlm_optimizers(self):
        return [spec for spec in self._specs if spec.kind == "optimizer"]


@pytest.fixture
def register_specs():
    """Give the function that registers records, and forget them afterwards."""
    seqlm.installed_plugins.cache_clear()
    yield lambda *specs: seqlm.installed_plugins().register(OfTheseSpecs(*specs))
    seqlm.installed_plugins.cache_clear()


@pytest.fixture(scope="session")
def sample_text() -> Path:
    return SAMPLE_TEXT


@pytest.fixture(scope="session")
def short_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 6,000 characters of the sample text."""
    path = tmp_path_factory.mktemp("text") / "short.txt"
    path.write_text(SAMPLE_TEXT.read_text()[:6000])
    return path


@pytest.fixture(scope="session")
def unlearnable(short_text, tmp_path_factory):
    """A text of the same characters in another order: the loss on it soon rises."""
    characters = list(short_text.read_text()[:1000])
    random.Random(1).shuffle(characters)
    path = tmp_path_factory.mktemp("text") / "unlearnable.txt"
    path.write_text("".join(characters))
    return path


@pytest.fixture(scope="session")
def trained(short_text: Path, tmp_path_factory: pytest.TempPathFactory):
    """Return a function that trains a small run with some settings, once for the whole session."""
    runs: dict[str, seqlm.LanguageRun] = {}

    def train(**settings) -> seqlm.LanguageRun:
        key = repr(sorted(settings.items()))
        if key not in runs:
            out = tmp_path_factory.mktemp("runs") / "run"
            runs[key] = seqlm.train(short_text, out=out, quiet=True, **{**SMALL, "epochs": 2, **settings})
        return runs[key]

    return train
