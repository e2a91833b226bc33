"""Texts that are compressed with gzip or xz."""

from __future__ import annotations

import gzip
import lzma

import pytest
from conftest import SMALL
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import seqlm_core as seqlm
from seqlm_core.reading.text import TextFile, read_blocks

COMPRESS = {"gz": gzip.compress, "xz": lzma.compress}
SETTINGS = {**SMALL, "max_steps": 3, "schedule": "constant", "quiet": True, "sample_every": 0}


@pytest.mark.parametrize("kind", COMPRESS)
@given(parts=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_what_was_compressed_is_read(kind, parts, tmp_path):
    path = tmp_path / "text"  # its name tells nothing
    path.write_bytes(b"".join(COMPRESS[kind](part.encode()) for part in parts))
    whole = "".join(parts).encode().decode("utf-8-sig")
    assert "".join(read_blocks(path, "utf-8")) == whole


@pytest.mark.parametrize("kind", COMPRESS)
def test_a_long_one_is_read_in_blocks_and_in_several_passes(kind, tmp_path):
    text = "".join(f"{number * number % 9973} bottles\n" for number in range(300_000))
    path = tmp_path / f"text.{kind}"
    path.write_bytes(COMPRESS[kind](text.encode()))
    file = TextFile(path)
    for _ in range(2):
        blocks = list(file.blocks("utf-8"))
        assert len(blocks) > 3
        assert "".join(blocks) == text
    assert file.fingerprint.size == path.stat().st_size


@pytest.mark.parametrize("kind", COMPRESS)
def test_a_model_of_a_compressed_text_is_that_of_the_text(kind, short_text, tmp_path):
    path = tmp_path / f"short.txt.{kind}"
    path.write_bytes(COMPRESS[kind](short_text.read_bytes()))
    plain = seqlm.train(short_text, out=tmp_path / "plain", **SETTINGS)
    run = seqlm.train(path, out=tmp_path / "run", **SETTINGS)
    for name, array in plain.weights.items():
        assert array.tobytes() == run.weights[name].tobytes()
    assert plain.evaluate(short_text)[0].nats_per_token == run.evaluate(path)[0].nats_per_token
    path.write_bytes(COMPRESS[kind](short_text.read_bytes()[::-1]))
    with pytest.raises(seqlm.RunError, match="has changed since the run began"):
        seqlm.resume(run.path, quiet=True, max_steps=5)


def test_a_run_is_named_after_the_text_without_both_suffixes(short_text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "book.txt.gz").write_bytes(gzip.compress(short_text.read_bytes()))
    assert seqlm.train("book.txt.gz", **SETTINGS).path.name == "book-lstm-1"


@pytest.mark.parametrize("kind", COMPRESS)
@pytest.mark.parametrize("damage", ["cut", "altered"])
def test_a_damaged_one_is_one_line(kind, damage, short_text, tmp_path):
    whole = bytearray(COMPRESS[kind](short_text.read_bytes()))
    middle = len(whole) // 2
    if damage == "cut":
        del whole[middle:]
    else:
        whole[middle : middle + 8] = bytes(255 - byte for byte in whole[middle : middle + 8])
    path = tmp_path / f"text.{kind}"
    path.write_bytes(bytes(whole))
    with pytest.raises(seqlm.TextError, match="is damaged: it is compressed, and cannot be decompressed") as caught:
        list(read_blocks(path, "utf-8"))
    assert "\n" not in str(caught.value)
