"""The files of checkpoints, read by the library of their format, and views of MXNet's arrays."""

from __future__ import annotations

import gc
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from safetensors import safe_open
from safetensors.numpy import load_file

import seqlm_core as seqlm
from seqlm_core.engine.arrays import view_of
from seqlm_core.engine.mxnet import nd
from seqlm_core.storage.checkpoint import load_checkpoint, load_state, save_checkpoint

ANY_ARRAY = st.sampled_from(["float32", "float64", "float16", "int32", "int64", "uint8"]).flatmap(
    lambda kind: arrays(
        kind,
        array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
        elements={"allow_nan": False, "allow_infinity": False} if "float" in kind else None,
    )
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given_arrays=st.dictionaries(st.text(min_size=1, max_size=8), ANY_ARRAY, max_size=5), turned=st.booleans())
def test_the_library_reads_what_is_written(given_arrays, turned, tmp_path):
    path = tmp_path / "checkpoint"
    given_arrays.pop("__metadata__", None)
    if turned:
        given_arrays = {name: array.T for name, array in given_arrays.items()}
    state = {"step": 3, "text": "ä\0</script>"}
    save_checkpoint(path, given_arrays, state)
    with safe_open(path, framework="np") as file:
        assert json.loads(file.metadata()["state"]) == state
    for found in (load_file(path), load_checkpoint(path)[0]):
        assert found.keys() == given_arrays.keys()
        for name, array in given_arrays.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array)
    assert load_state(path) == state


def test_state_alone_is_read_of_whole_files_only(tmp_path):
    path = tmp_path / "checkpoint"
    save_checkpoint(path, {"weights": np.arange(6.0)}, {"step": 1})
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(seqlm.RunError, match="is damaged or was altered: its digest does not match"):
        load_state(path)


def test_a_view_has_the_memory_of_the_array_and_keeps_it():
    array = nd.arange(6).reshape((2, 3))
    view = view_of(array)
    array += 1
    array.wait_to_read()
    np.testing.assert_array_equal(view, [[1, 2, 3], [4, 5, 6]])
    with pytest.raises(ValueError, match="read-only"):
        view[0, 0] = 7
    del array
    gc.collect()
    others = [nd.zeros((2, 3)) for _ in range(20)]
    nd.waitall()
    np.testing.assert_array_equal(view, [[1, 2, 3], [4, 5, 6]])
    assert len(others) == 20
