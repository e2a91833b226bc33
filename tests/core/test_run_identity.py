"""The files of one run belong together: none of another run is taken for one of them, however alike the two are."""

from __future__ import annotations

import hashlib
import json
import re
import shutil

import pytest
from conftest import SMALL

import seqlm_core as seqlm
from seqlm_core.runs.directory import RunDirectory
from seqlm_core.runs.opening import open_run
from seqlm_core.storage.checkpoint import load_checkpoint, save_checkpoint
from seqlm_core.storage.files import read_json, write_json


def train_text(text, out, seed):
    return seqlm.train(text, out=out, quiet=True, **{**SMALL, "cell": "gru", "epochs": 1, "seed": seed})


def train_labels(text, out, seed):
    words = [line.split() for line in text.read_text()[:2000].splitlines() if line]
    model = seqlm.SequenceModel(cell="gru", hidden_size=8, epochs=1, seed=seed)
    return model.train([(line, [word[-1] for word in line]) for line in words], out=out, quiet=True)


@pytest.fixture(scope="module")
def pairs(short_text, tmp_path_factory):
    """Runs of each kind, and for each another with the same settings and one with another seed."""
    folder = tmp_path_factory.mktemp("pairs")
    return {
        train: [train(short_text, folder / f"{train.__name__}-{number}", seed) for number, seed in enumerate((1, 1, 2))]
        for train in (train_text, train_labels)
    }


def use(path):
    """Read all that is in a run."""
    run = open_run(path)
    _ = run.sample(length=2) if isinstance(run, seqlm.LanguageRun) else run.predict([["the", "king"]])
    run.history()
    seqlm.resume(path, quiet=True)


TEXT_FILES = ["config.json", "vocabulary.json", "best.safetensors", "last.safetensors", "history.jsonl"]
LABEL_FILES = [name.replace("vocabulary", "encoders") for name in TEXT_FILES]


@pytest.mark.parametrize("other", [1, 2], ids=["same settings", "other seed"])
@pytest.mark.parametrize(
    ("train", "name"), [(train_text, n) for n in TEXT_FILES] + [(train_labels, n) for n in LABEL_FILES]
)
def test_a_file_of_another_run_of_the_same_sizes_is_refused(train, name, other, pairs, tmp_path):
    shutil.copytree(pairs[train][0].path, tmp_path / "run")
    use(tmp_path / "run")
    shutil.copy(pairs[train][other].path / name, tmp_path / "run" / name)
    with pytest.raises(seqlm.RunError, match="another run") as told:
        use(tmp_path / "run")
    assert name in str(told.value)
    assert len(re.findall(r"\w+\.(?:json|jsonl|safetensors)\b", str(told.value))) == 2
    assert len(str(told.value).splitlines()) == 1


def without_identity(path):
    """Make the run one of before there were identities, whose files are otherwise the same."""
    for name in ("config.json", "vocabulary.json"):
        values = read_json(path / name)
        del values["run_id"]
        write_json(path / name, values)
    digest, lines = hashlib.blake2b(digest_size=16), []
    digests = [digest.hexdigest()]
    for line in (path / "history.jsonl").read_text().splitlines():
        record = {key: value for key, value in json.loads(line).items() if key != "check"}
        digest.update(json.dumps(record).encode())
        digests.append(digest.hexdigest())
        lines.append(json.dumps({**record, "check": digest.hexdigest()[:16]}) + "\n")
    (path / "history.jsonl").write_text("".join(lines))
    for name in ("best.safetensors", "last.safetensors"):
        arrays, state = load_checkpoint(path / name)
        del state["run_id"]
        if "history" in state:
            for known in (state["history"], state["training"]["extensions"]["history"]):
                known["digest"] = digests[known["lines"]]
        save_checkpoint(path / name, arrays, {**state, "model": RunDirectory(path).model_digest})


def test_a_run_of_before_there_were_identities_goes_on_without_one(short_text, tmp_path):
    settings = {**SMALL, "cell": "gru", "schedule": "constant", "max_steps": 6, "log_every": 2}
    seqlm.train(short_text, out=tmp_path / "new", quiet=True, **settings)
    shutil.copytree(tmp_path / "new", tmp_path / "old")
    without_identity(tmp_path / "old")
    assert seqlm.LanguageRun(tmp_path / "old").sample(length=5, seed=1) == seqlm.LanguageRun(tmp_path / "new").sample(
        length=5, seed=1
    )
    for name in ("old", "new"):
        seqlm.resume(tmp_path / name, quiet=True, max_steps=9)
    old, new = (seqlm.LanguageRun(tmp_path / name) for name in ("old", "new"))
    assert [r["step"] for r in old.history()] == [r["step"] for r in new.history()]
    assert "run_id" not in old.config
    assert re.fullmatch("[0-9a-f]{32}", new.config["run_id"])
    for name in TEXT_FILES:
        for one, other in (("old", "new"), ("new", "old")):
            mixed = tmp_path / "mixed"
            shutil.copytree(tmp_path / one, mixed)
            shutil.copy(tmp_path / other / name, mixed / name)
            with pytest.raises(seqlm.RunError, match="another run"):
                use(mixed)
            shutil.rmtree(mixed)


def test_only_a_new_run_gets_a_new_identity(pairs, short_text, tmp_path):
    first, second, _ = pairs[train_text]
    assert first.config["run_id"] != second.config["run_id"]
    shutil.copytree(first.path, tmp_path / "run")
    assert seqlm.resume(tmp_path / "run", quiet=True).config["run_id"] == first.config["run_id"]
    begun = seqlm.train(short_text, out=tmp_path / "new", init_from=first.path, quiet=True, **{**SMALL, "max_steps": 1})
    assert begun.config["run_id"] not in (first.config["run_id"], second.config["run_id"])
