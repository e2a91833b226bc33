"""Batches that are made ahead by a thread: the numbers they lead to, and how the thread ends."""

from __future__ import annotations

import signal
import threading
import time
import traceback

import numpy as np
import pytest
from sequence_runs import learnable
from sequence_runs import train as train_sequences
from test_training import train

import seqlm_core as seqlm
from seqlm_core.engine.arrays import array_of, make_array
from seqlm_core.engine.mxnet import autograd, mx, nd
from seqlm_core.model.build import weights_of
from seqlm_core.model.initialization import unique_parameters
from seqlm_core.plugins.components import Components
from seqlm_core.reading.corpus import read_corpus
from seqlm_core.reading.windows import WindowPlan
from seqlm_core.sequences.batches import TrainingBatches
from seqlm_core.storage.checkpoint import load_checkpoint, select
from seqlm_core.training.learning_rate import learning_rate
from seqlm_core.training.loop import STEPS_AHEAD, TrainingLoop
from seqlm_core.training.prefetch import prefetched
from seqlm_core.training.tasks.language import LanguageModelling, language_task
from seqlm_core.training.tasks.windows import Windows
from seqlm_core.training.updates import Updates
from seqlm_core.training.weight_dropping import dropped_weights


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "seqlm-prefetch"]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert not threads()


def failing_at(place, error):
    yield from range(place)
    raise error


@pytest.mark.parametrize("count", [0, 1, 2, 50])
@pytest.mark.parametrize("most", [1, 4])
def test_all_items_come_in_their_order(count, most):
    with prefetched(iter(range(count)), most) as items:
        assert list(items) == list(range(count))


def test_only_so_many_items_wait_for_their_use():
    made = []

    def counted():
        for number in range(20):
            made.append(number)
            yield number

    with prefetched(counted(), 3) as items:
        for used, _ in enumerate(items, start=1):
            time.sleep(0.002)
            assert len(made) <= used + 3


def test_an_error_comes_in_its_place_with_the_traceback_of_where_it_was_raised():
    given = []
    numbers = failing_at(7, OSError("no such disk"))
    with prefetched(numbers, 3) as items, pytest.raises(OSError, match="no such disk") as caught:
        given.extend(items)
    assert given == list(range(7))
    assert "failing_at" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]


def test_leaving_early_ends_the_thread_and_makes_no_more_items():
    made = []

    def endless():
        while True:
            made.append(None)
            yield None

    def leave():
        with prefetched(endless(), 4) as items:
            next(items)
            assert threads()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        leave()
    assert not threads()
    before = len(made)
    time.sleep(0.01)
    assert len(made) == before


@pytest.mark.parametrize("cell", ["lstm", "bigru"])
def test_a_training_has_the_numbers_of_a_plain_loop(cell, short_text, tmp_path):
    given = {"cell": cell, "dropout": 0.3, "reset_probability": 0.1, "max_steps": 40, "embedding_size": 8}
    run = train(short_text, tmp_path / "run", **given, log_every=1)
    components = Components.choose(run.settings, seqlm.installed_plugins())
    corpus = read_corpus([short_text], run.tokenizer, validation_fraction=run.settings.validation_fraction)
    task = language_task(corpus, components, run.settings, run.architecture, mx.cpu())
    optimizer = components.build_optimizer(run.settings.learning_rate)
    parameters = unique_parameters(task.network)
    updates = Updates(parameters, optimizer, run.settings.clip_norm, components.optimizer.spec)
    losses = []
    for epoch in range(2):  # 33 steps each
        for batch in task.batches(epoch, 0):
            if batch.step < 40:
                with dropped_weights(batch.weight_masks):
                    with autograd.record():
                        loss = task.loss(batch).mean()
                    loss.backward()
                s = run.settings
                updates.step(learning_rate(s.learning_rate, s.schedule, s.warmup, batch.step, 40))
                losses.append(loss.asscalar())
    told = [record["training_nats_per_token"] for record in run.history() if record["kind"] == "report"]
    np.testing.assert_allclose(told, losses, rtol=1e-5)
    arrays, _ = load_checkpoint(run.directory.last)
    for name, array in weights_of(task.network).items():
        np.testing.assert_allclose(select(arrays, "model/")[name], array, rtol=1e-3, atol=1e-5, err_msg=name)


def test_an_error_while_windows_are_read_ends_the_training_with_its_traceback(short_text, tmp_path, monkeypatch):
    read = WindowPlan.read

    def tired(*arguments):
        for number, window in enumerate(read(*arguments)):
            if number == 20:
                raise RuntimeError("enough")
            yield window

    monkeypatch.setattr(WindowPlan, "read", tired)
    with pytest.raises(RuntimeError, match="enough") as caught:
        train(short_text, tmp_path / "run", checkpoint_every="1")
    assert "tired" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    _, state = load_checkpoint(tmp_path / "run" / "last.safetensors")
    assert state["training"]["step"] == 20


def test_an_error_while_sequences_are_put_into_batches_ends_the_training(tmp_path, monkeypatch):
    monkeypatch.setattr(TrainingBatches, "read", lambda *a: failing_at(0, RuntimeError("enough")))
    with pytest.raises(RuntimeError, match="enough"):
        train_sequences(learnable(), tmp_path / "run")


@pytest.mark.parametrize("signals", [1, 2])
def test_an_interrupted_training_leaves_no_thread(signals, short_text, tmp_path, monkeypatch):
    original, seen = LanguageModelling.loss, []

    def loss(task, window):
        if window.step == 5:
            seen.extend(threads())
            for _ in range(signals):
                signal.raise_signal(signal.SIGINT)
        return original(task, window)

    monkeypatch.setattr(LanguageModelling, "loss", loss)
    with pytest.raises(seqlm.TrainingInterrupted if signals == 1 else KeyboardInterrupt) as caught:
        train(short_text, tmp_path / "run")
    assert len(seen) == 1
    assert not threads(), caught  # though the exception still holds the frames


def test_no_more_batches_are_made_than_there_are_steps(short_text, tmp_path, monkeypatch):
    made, original = [], Windows.make

    def window(task, ids, ends, step, begins_epoch):
        made.append(step)
        return original(task, ids, ends, step, begins_epoch)

    monkeypatch.setattr(Windows, "make", window)
    train(short_text, tmp_path / "run", max_steps=35)  # 33 in an epoch
    assert made == list(range(35))


def test_reports_are_made_of_losses_that_are_fetched_late(short_text, tmp_path, monkeypatch):
    late, notify = [], TrainingLoop._notify

    def watched(training, event, *arguments):
        if event == "on_report":
            late.append(training.step - arguments[0]["step"])
        notify(training, event, *arguments)

    monkeypatch.setattr(TrainingLoop, "_notify", watched)
    one = train(short_text, tmp_path / "1", log_every=1, epochs=1)
    assert STEPS_AHEAD == 4
    assert late == [4, 3, 2] * 10 + [2, 1, 0]  # three at a time, and at the end of the epoch all
    ten = train(short_text, tmp_path / "10", log_every=10, epochs=1)
    each = [r["training_nats_per_token"] for r in one.history() if r["kind"] == "report"]
    reports = [r for r in ten.history() if r["kind"] == "report"]
    assert [report["step"] for report in reports] == [10, 20, 30]
    for report in reports:
        last = report["step"]
        assert report["training_nats_per_token"] == pytest.approx(np.mean(each[last - 10 : last]))
        assert report["epoch"] == round(last / 33, 4)
    epoch = ten.history()[-1]
    assert epoch["training_nats_per_token"] == pytest.approx(np.mean(each))


@pytest.mark.parametrize("dtype", ["int32", "float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(1,), (3, 4), (2, 3, 1)])
def test_arrays_hold_what_they_are_given(shape, dtype):
    values = np.arange(np.prod(shape)).reshape(shape)
    for given in (values, values.T.copy().T, values.astype(np.float64)):
        array = array_of(given, dtype, mx.cpu())
        assert (array.shape, array.dtype) == (shape, np.dtype(dtype))
        np.testing.assert_array_equal((array * 2).asnumpy(), 2 * values)
    written = make_array(shape, dtype, mx.cpu(), lambda memory: memory.fill(3))
    np.testing.assert_array_equal(written.asnumpy(), np.full(shape, 3))


def test_making_an_array_does_not_wait_for_what_is_being_computed():
    matrix = nd.ones((1500, 1500))
    nd.waitall()
    begun = time.perf_counter()
    for _ in range(5):
        matrix = nd.dot(matrix, matrix) * 0
    array_of(np.ones((50, 32)), "float32", mx.cpu())
    made = time.perf_counter() - begun
    nd.waitall()
    assert made < (time.perf_counter() - begun) / 2
