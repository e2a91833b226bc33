"""What fails behind Python's back is told in the operator's own words, at once, and never to an innocent command."""

from __future__ import annotations

import locale
import resource
import sys
from pathlib import Path

import numpy as np
import pytest

import seqlm_core as seqlm
from seqlm_core.engine.arrays import CallInPlace
from seqlm_core.engine.mxnet import mx, nd, readable_failures
from seqlm_core.errors import SeqlmError
from seqlm_core.native import training as native
from seqlm_core.training.native_updates import NativeUpdate

NATIVE = native.available_backends()[1:]

TRAINING = {"hidden_size": 8, "sequence_length": 5, "batch_size": 4, "sample_every": 0, "warmup": 0, "quiet": True}


@pytest.fixture(autouse=True)
def _native_formulas(training_library):
    with native.chosen_backend(NATIVE[-1]):
        yield


def updated(weight=1.0, **attributes):
    """Return a weight after an update with a gradient of 1, by the operator itself."""
    weights = nd.array([weight])
    call = CallInPlace("seqlm_update", [weights, nd.ones(1)], nd.empty(1))
    numbers = dict.fromkeys(
        ["learning_rate", "weight_decay", "mean_decay", "square_decay", "epsilon", "rescale", "clip_norm"], 0.0
    )
    call(**{"rule": "sgd", "count": 1, **numbers, "rescale": 1.0, **attributes})
    with readable_failures():
        return float(weights.asnumpy()[0])


@pytest.mark.parametrize(
    ("rate", "change"), [(0.25, 0.25), ("1e-315", 0), ("5e-324", 0), ("1e-400", 0), (1e-3, 1e-3), ("1e300", np.inf)]
)
def test_numbers_of_any_size_are_understood(rate, change):
    assert updated(learning_rate=rate) == np.float32(1) - np.float32(change)


@pytest.mark.parametrize("clip_norm", ["1e-320", "4.9e-324"])
def test_gradients_are_clipped_to_next_to_nothing(clip_norm):
    assert updated(learning_rate=1.0, clip_norm=clip_norm) == 1


def test_numbers_are_understood_whatever_the_locale():
    names = [name for name in ("de_DE.UTF-8", "fr_FR.UTF-8", "de_DE.utf8") if _exists(name)]
    if not names:
        pytest.skip("there is no locale with a decimal comma")
    before = locale.setlocale(locale.LC_NUMERIC)
    try:
        locale.setlocale(locale.LC_NUMERIC, names[0])
        assert updated(learning_rate=0.25) == 0.75
    finally:
        locale.setlocale(locale.LC_NUMERIC, before)


def _exists(name):
    before = locale.setlocale(locale.LC_NUMERIC)
    try:
        locale.setlocale(locale.LC_NUMERIC, name)
    except locale.Error:
        return False
    locale.setlocale(locale.LC_NUMERIC, before)
    return True


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        ({"learning_rate": "much"}, "seqlm_update: learning_rate is not a number: 'much'"),
        ({"learning_rate": ""}, "seqlm_update: learning_rate is not a number: ''"),
        ({"clip_norm": "1.0x"}, "seqlm_update: clip_norm is not a number: '1.0x'"),
        ({"count": 0}, "seqlm_update: count must be at least 1, not 0"),
        ({"rule": "nonsense"}, "seqlm_update: there is no rule nonsense"),
    ],
)
def test_what_is_no_number_or_rule_is_told_in_the_operators_own_words(attributes, told):
    with pytest.raises((SeqlmError, mx.MXNetError)) as caught:
        updated(**attributes)
    assert told in str(caught.value)


def losses(target):
    """Return the array of the loss of one of 3 classes, which fails later if there is no such class."""
    targets = nd.array([target], dtype="int32")
    return native.softmax_loss(nd, nd.ones((1, 2)), nd.ones((3, 2)), nd.ones(3), targets)


def divide_by_zero(_):
    raise ZeroDivisionError


def test_an_operators_failure_is_one_line_of_its_own_words():
    for target in (3, 7):  # the message of the first is not told again
        with pytest.raises(SeqlmError) as caught, readable_failures():
            losses(target).asnumpy()
        assert str(caught.value) == "seqlm_softmax_loss: a target is not one of the classes"


@pytest.mark.skipif(sys.platform != "linux", reason="the memory is read in /proc")
def test_a_failure_is_handed_out_once_and_takes_no_memory_later():
    for _ in range(50):
        with pytest.raises(mx.MXNetError) as caught:
            losses(3).asnumpy()
    assert str(caught.value).count("a target is not one of the classes") == 1
    losses(1).asnumpy()
    before = megabytes_in_memory()
    for _ in range(2000):
        losses(1).asnumpy()
    assert megabytes_in_memory() < before + 50


def megabytes_in_memory():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def test_a_failure_that_nobody_waited_for_is_told_when_the_computing_ends():
    with pytest.raises(SeqlmError, match="a target is not one of the classes"), readable_failures():
        losses(3)


def test_an_error_of_another_kind_is_told_itself_and_leaves_nothing_behind():
    with pytest.raises(ZeroDivisionError), readable_failures():
        divide_by_zero(losses(3))
    nd.waitall()


def test_a_training_that_fails_late_does_not_fail_the_next_one(short_text, tmp_path, monkeypatch):
    innocent = seqlm.train(short_text, out=tmp_path / "innocent", max_steps=3, schedule="constant", **TRAINING)
    step, calls = NativeUpdate.step, []

    def failing_at_last(update):
        calls.append(update)
        if len(calls) == 3:
            update.clip_norm = "nonsense"
        step(update)

    for k in range(8):
        with monkeypatch.context() as patch:
            patch.setattr(NativeUpdate, "step", failing_at_last)
            calls.clear()
            with pytest.raises(SeqlmError, match="seqlm_update: clip_norm is not a number: 'nonsense'"):
                seqlm.train(short_text, out=tmp_path / f"guilty {k}", max_steps=3, **TRAINING)
        seqlm.resume(innocent.path, max_steps=4 + k, quiet=True)
    assert innocent.history()[-1]["step"] == 11
