"""How a text is cut into training windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import seqlm_core as seqlm
from seqlm_core.reading.windows import WindowPlan

PLANS = {"tokens": st.integers(2, 500), "time": st.integers(1, 20), "batch": st.integers(1, 9)}


@given(**PLANS, epoch=st.integers(0, 5))
def test_streams_are_contiguous_and_windows_follow_each_other(tokens, time, batch, epoch):
    if tokens - 1 < time:
        return
    plan = WindowPlan.fit(tokens, time, batch)
    windows = list(plan.read(np.arange(tokens), seed=7, epoch=epoch))
    assert len(windows) == plan.windows == (tokens - 1) // (plan.batch_size * time)
    streams = np.concatenate([windows[0][:1], *[window[1:] for window in windows]])
    assert streams.shape == (plan.windows * time + 1, plan.batch_size)
    assert (np.diff(streams, axis=0) == 1).all()
    assert (np.diff(streams[0]) == plan.windows * time).all()
    for before, after in zip(windows, windows[1:]):
        np.testing.assert_array_equal(before[-1], after[0])


@given(**PLANS)
def test_a_text_too_short_for_the_batch_gets_a_smaller_one(tokens, time, batch):
    if tokens - 1 < time:
        with pytest.raises(seqlm.TextError, match="fewer than the"):
            WindowPlan.fit(tokens, time, batch)
    else:
        plan = WindowPlan.fit(tokens, time, batch)
        assert plan.batch_size == min(batch, (tokens - 1) // time)
        assert plan.windows >= 1


def test_epochs_begin_at_different_offsets_so_that_every_token_is_seen():
    plan = WindowPlan.fit(tokens=48, sequence_length=5, batch_size=4)
    predicted = {token for epoch in range(100) for w in plan.read(np.arange(48), 1, epoch) for token in w[1:].ravel()}
    assert predicted == set(range(1, 48))


def test_reading_can_begin_at_a_later_window():
    plan = WindowPlan.fit(tokens=100, sequence_length=5, batch_size=4)
    whole = list(plan.read(np.arange(100), 1, 2))
    rest = list(plan.read(np.arange(100), 1, 2, first=2))
    np.testing.assert_array_equal(whole[2:], rest)
