"""The generation library for 64-bit ARM, cross-compiled and run by an emulator, against the step network of NumPy.

``emulate.py`` does the same with all tests of the library, and for more platforms.
"""

from __future__ import annotations

import numpy as np
import pytest
from foreign_library import PLATFORMS, ForeignLibrary, build
from random_model import RandomModel
from test_native_generation import drawn

from seqlm_core.generation.native_network import NativeNetwork
from seqlm_core.native.library import instruction_sets
from seqlm_core.settings.decoding_rules import DecodingRules

ARM = PLATFORMS["aarch64"]
MODELS = {
    "rnn": RandomModel("rnn", 33),
    "relu": RandomModel("rnn", 20, options=(("activation", "relu"),)),
    "gru": RandomModel("gru", (9, 40), embedding_size=5),
    "lstm": RandomModel("lstm", 104, 2),
    "projected": RandomModel("bilstm", 16, tie_weights=True, embedding_size=7),
    "adaptive": RandomModel("lstm", 20, cutoffs=(3, 11), embedding_size=5),
}
RULES = [DecodingRules(temperature=1.0), DecodingRules(0.8, 12, 0.9, 0.01, 1.3), DecodingRules(temperature=0)]


@pytest.fixture(scope="module")
def arm_library(tmp_path_factory):
    if ARM.missing:
        pytest.skip(f"there is no {ARM.missing}")
    library = ForeignLibrary(build(ARM, tmp_path_factory.mktemp("arm")))
    yield library
    library.close()


def on_arm(model, library):
    return NativeNetwork(model.architecture, model.spec, model.options, model.weights, library, model.formula)


def test_arm_computes_with_the_vectors_that_all_its_processors_have(arm_library):
    assert instruction_sets(arm_library) == ["neon"]


@pytest.mark.parametrize("name", MODELS)
def test_arm_draws_the_texts_of_the_step_network(name, arm_library):
    model = MODELS[name]
    for rules in RULES:
        expected = drawn(model.step_network(), length=100, rules=rules, count=2)
        tokens, found = drawn(on_arm(model, arm_library), length=100, rules=rules, count=2)
        np.testing.assert_array_equal(tokens, expected[0])
        np.testing.assert_allclose(found, expected[1], atol=1e-5)
