"""Making a run with 8 bits a weight of another run: about a quarter of its size, to be used and not to be trained."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqlm_core.errors import RunError, SettingError, UsageError
from seqlm_core.runs.config import COMPRESSED_FORMAT, is_compressed
from seqlm_core.runs.directory import VECTORS_FILE, RunDirectory
from seqlm_core.runs.history import new_digest, written_record
from seqlm_core.runs.new_run import check_destination, whole_run_directory
from seqlm_core.runs.stored_weights import arrays_of, compressed
from seqlm_core.settings.arguments import PathLike, check_argument, checked_path
from seqlm_core.storage.checkpoint import digest_in
from seqlm_core.storage.files import copy_regular, read_json, write_atomically, write_json
from seqlm_core.storage.schema import COUNT, OBJECT, check

BITS = 8
"""The only number of bits that there is."""

_STATE = {"record?": OBJECT, "training?": {"step": COUNT, "epoch": COUNT}}


def compress_run(run: Any, out: PathLike, bits: int, overwrite: bool) -> None:
    """Write a run with 8 bits a weight.

    Vocabulary or codecs, what the tokenizer has learnt, the history, the picture and pre-trained vectors go along. What
    only a training that goes on needs does not: the last checkpoint, and the text or the examples that a run keeps.

    Args:
        run: the run.
        out: the directory of the new one.
        bits: 8.
        overwrite: whether to replace a run that is in ``out``.

    Raises:
        SettingError: the number of bits is another one.
        UsageError: the run is compressed already, or ``out`` cannot be used.
        RunError: the run is damaged, or has no weights.
    """
    check_argument("bits", bits, int)
    if bits != BITS:
        raise SettingError("bits", f"must be {BITS}, not {bits}")
    path = checked_path("out", out)
    if is_compressed(run.config):
        raise UsageError(f"{run.path} is compressed already")
    check_destination(path, overwrite)
    source: RunDirectory = run.directory
    if path.exists() and os.path.samefile(path, source.path):
        raise UsageError(f"`out` {out} is the run itself, which compressing leaves as it is; name another directory")
    if not run.weights_file.exists():
        raise RunError(f"{source.path} has no weights yet")
    weights_file = run.weights_file
    weights, state = run.stored_weights(weights_file)
    records = run.records()
    config = {
        **run.config,
        "format": COMPRESSED_FORMAT,
        "texts": {part: [_at_its_place(text, source) for text in texts] for part, texts in run.config["texts"].items()},
        "compressed": {"bits": BITS, "from": str(source.path.resolve()), "weights": digest_in(weights_file)},
    }
    try:
        check(state, _STATE, "its state")
    except ValueError as error:
        raise RunError(f"{weights_file} is damaged: {error}") from error
    training = state.get("training", {})
    record = state.get("record", {name: training[name] for name in ("step", "epoch") if name in training})
    with whole_run_directory(path, overwrite) as directory:
        for name in (source.vocabulary.name, source.tokenizer.name, source.codecs.name):
            if os.path.lexists(source.path / name):
                write_json(directory.path / name, {**read_json(source.path / name), "run_id": directory.run_id})
        directory.write_config(config)
        directory.save(directory.best, arrays_of(compressed(weights)), {"record": record})
        digest = new_digest(directory.run_id)
        write_atomically(directory.history, b"".join(written_record(found, digest) for found in records))
        for name in (source.picture.name, VECTORS_FILE):
            if os.path.lexists(source.path / name):
                copy_regular(source.path / name, directory.path / name)


def _at_its_place(text: Mapping[str, Any], directory: RunDirectory) -> dict[str, Any]:
    """Return the record of a text with its whole path: that of a text that the run keeps is relative to the run."""
    return {**text, "path": str(Path(directory.path.resolve(), text["path"]))}
