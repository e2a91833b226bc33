"""A folder stands for the files in it."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import SMALL

import seqlm_core as seqlm

SETTINGS = {**SMALL, "schedule": "constant", "quiet": True}


def write_tree(folder, texts):
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return folder


@pytest.fixture
def folder(short_text, tmp_path):
    """A folder of files whose texts, joined in the right order, are those of the short text."""
    text = short_text.read_text()
    return write_tree(
        tmp_path / "texts",
        {
            "B.txt": text[:1000],
            "a/second.txt": text[1000:2500],
            "a/z/third.md": text[2500:3000],
            "a-first-by-its-bytes": text[3000:5000],
            "b": text[5000:],
            "a/empty.txt": "",
            ".hidden.txt": "not read",
            ".git/config": "not read",
            "a/.hidden/x": "not read",
        },
    )


def test_a_folder_is_read_as_its_files_one_after_the_other(folder, short_text, tmp_path):
    run = seqlm.train(folder, validation=folder / "a", out=tmp_path / "run", epochs=1, **SETTINGS)
    files = [folder / "B.txt", *(folder / "a" / name for name in ("second.txt", "z/third.md"))]
    files += [folder / "a-first-by-its-bytes", folder / "b"]
    one_by_one = seqlm.train(files, validation=files[1:3], out=tmp_path / "files", epochs=1, **SETTINGS)
    np.testing.assert_equal(run.weights, one_by_one.weights)
    losses = [
        [record["validation_nats_per_token"] for record in made.history() if record["kind"] == "epoch"]
        for made in (run, one_by_one)
    ]
    assert losses[0] == losses[1]
    assert run.evaluate(folder) == run.evaluate(short_text)
    assert [line.bits for line in run.score(folder)] == [line.bits for line in run.score(short_text)]


def test_a_run_is_named_after_its_folder(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert seqlm.train(folder, epochs=1, max_steps=1, **SETTINGS).path.name == "texts-lstm-1"


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "B.txt").write_text("other"),
        lambda folder: (folder / "a" / "second.txt").unlink(),
        lambda folder: (folder / "a" / "new.txt").write_text("new"),
        lambda folder: (folder / "a" / "empty.txt").write_text("no more"),
    ],
    ids=["changed", "removed", "added", "no longer empty"],
)
def test_a_run_goes_on_only_with_the_files_that_it_began_with(change, folder, tmp_path):
    run = seqlm.train(folder, out=tmp_path / "run", epochs=1, **SETTINGS)
    (folder / ".hidden.txt").write_text("hidden files may change")
    seqlm.resume(run.path, epochs=2, quiet=True)
    change(folder)
    names = "B.txt|second.txt|new.txt|empty.txt"
    with pytest.raises(
        seqlm.RunError, match=rf"({names}) (has changed|was added to .*texts) since|no such file.*second"
    ):
        seqlm.resume(run.path, epochs=3, quiet=True)


def test_a_file_of_a_folder_that_is_no_text_is_named(folder, tmp_path):
    (folder / "a" / "picture.png").write_bytes(b"\x89PNG\r\n")
    with pytest.raises(seqlm.TextError, match=r"a/picture\.png is not utf-8: byte 0"):
        seqlm.train(folder, out=tmp_path / "run", **SETTINGS)
    assert not (tmp_path / "run").exists()


def test_messages_name_the_folder_and_not_each_of_its_files(tmp_path):
    folder = write_tree(tmp_path / "texts", {"1": "aaaa", "2": "aaaa"})
    with pytest.raises(seqlm.TextError, match=r"of \S*texts holds one token only"):
        seqlm.train(folder, **SETTINGS)


def test_links_to_files_are_followed_and_links_to_folders_are_not(folder, tmp_path):
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "text").symlink_to(folder / "b")
    (linked / "circle").symlink_to(linked)
    run = seqlm.train(linked, out=tmp_path / "run", epochs=1, **SETTINGS)
    assert [text["path"] for text in run.config["texts"]["training"]] == [str(folder / "b")]
    seqlm.resume(run.path, epochs=2, quiet=True)


def test_a_pattern_stands_for_the_files_that_match_it(tmp_path):
    pattern = tmp_path / "texts" / "*.txt"
    pattern.parent.mkdir()
    for number in range(6):
        (pattern.parent / f"part {number}.txt").write_text(f"{number} bottles of beer on the wall\n" * 40)
    (pattern.parent / "notes.md").write_text("not a text")
    settings = {**SMALL, "max_steps": 2, "quiet": True, "sample_every": 0}
    named = sorted(str(path) for path in pattern.parent.glob("*.txt"))
    by_name, by_pattern = (
        seqlm.train(texts, out=tmp_path / f"run-{number}", **settings) for number, texts in enumerate([named, pattern])
    )
    assert by_pattern.config["texts"]["training"] == by_name.config["texts"]["training"]
    assert len(by_pattern.config["texts"]["training"]) == 6
    with pytest.raises(seqlm.TextError, match=r"part 2\.txt and 3 others has \d+ tokens"):
        seqlm.train(pattern, out=tmp_path / "run", **{**settings, "sequence_length": 50_000})


def test_a_pattern_that_matches_nothing_is_named(tmp_path):
    with pytest.raises(seqlm.TextError, match=r"no file matches .*\*\.text$"):
        seqlm.train(tmp_path / "*.text", quiet=True)


def test_a_file_whose_name_looks_like_a_pattern_is_itself(tmp_path, short_text):
    path = tmp_path / "book [draft].txt"
    path.write_bytes(short_text.read_bytes())
    run = seqlm.train(path, out=tmp_path / "run", **SMALL, max_steps=2, quiet=True)
    assert [text["path"] for text in run.config["texts"]["training"]] == [str(path)]
