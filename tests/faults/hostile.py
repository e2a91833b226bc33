"""Gives every command runs that are nonsense, with all digests right: each is refused in one line, or used, in time.

python tests/faults/hostile.py --cases 1000
python tests/faults/hostile.py --cases 1000 --sanitize

Whoever alters a run can compute its digests too, so they keep out no more than accidents. A case alters values, types,
structure or arrays of one or two files of a run, and seals it again. The commands take turns, so that each has its
share of the cases, or try all of them (--all-commands); --only N repeats one. Every command has a process of its own,
with a limit of time and of memory. With --sanitize the native libraries are built with the compiler's sanitizers,
which needs g++.
"""

from __future__ import annotations

import argparse
import collections
import copy
import dataclasses
import hashlib
import json
import math
import os
import random
import resource
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any, Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from safetensors.numpy import save

import seqlm_core as seqlm
from seqlm_core.command_line.main import main as seqlm_main
from seqlm_core.storage.checkpoint import FORMAT, _digest, load_checkpoint
from seqlm_core.storage.files import json_digest

PROJECT = Path(__file__).resolve().parents[2]
TEXT = PROJECT / "data" / "input.txt"
PROCESSOR_SECONDS = 20
SECONDS = 300  # of the clock, for what waits and does not compute, on a machine that others use too
MEMORY = 2 << 30  # bytes, beyond what a process has to begin with
CRASHED = 70

Chance = random.Random


# What is used: small runs, and all commands that read a run.


def train_runs(folder: Path) -> None:
    """Train a run of each kind, and write the texts that the commands read."""
    text = TEXT.read_text()[:3000]
    (folder / "text.txt").write_text(text)
    (folder / "short.txt").write_text(text[:400])
    words = [line.split() for line in text.splitlines() if line]
    rows = ["".join(f"{word} {word[-1]}\n" for word in line) for line in words]
    (folder / "columns.txt").write_text("\n".join(rows))
    (folder / "tokens.txt").write_text("\n".join("\n".join(line) + "\n" for line in words[:5]))
    small: dict[str, Any] = {
        "hidden_size": 8, "batch_size": 4, "max_steps": 6, "schedule": "constant", "warmup": 2, "log_every": 2,
        "dropout": 0.1,
    }  # fmt: skip
    windows = {"sequence_length": 10, "sample_every": 0, "quiet": True, **small}
    seqlm.train(folder / "text.txt", out=folder / "lstm", cell="lstm", layers=2, max_vocabulary=20, **windows)
    seqlm.train(folder / "text.txt", out=folder / "bigru", cell="bigru", tie_weights=True, **windows)
    tagger = seqlm.SequenceModel(cell="bilstm", char_cell="gru", char_hidden_size=4, **small)
    tagger.train([(line, [word[-1] for word in line]) for line in words], out=folder / "tagger", quiet=True)
    waves = [np.sin(np.arange(30) / 3 + shift)[:, None] for shift in range(6)]
    forecaster = seqlm.SequenceModel("values", "values", **small)
    forecaster.train([(wave[:-1], wave[1:]) for wave in waves], out=folder / "forecaster", quiet=True)


def use_forecaster(run: Path, action: str) -> None:
    """Use a run that no command is for, and tell errors as commands do."""
    wave = np.sin(np.arange(20) / 3)
    try:
        if action == "predict":
            seqlm.SequenceRun(run).predict([wave])
        elif action == "evaluate":
            found = seqlm.SequenceRun(run).evaluate([(wave[:-1], wave[1:])])
            json.dumps(found.to_json(), allow_nan=False)
        else:
            seqlm.resume(run, quiet=True, max_steps=8)
    except seqlm.SeqlmError as error:
        print(f"seqlm: error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(error.exit_code)


def commands(kind: str, folder: Path, run: Path) -> list[list[str]]:
    """Return all commands that use a run; the last ones change it."""
    out = str(run.with_name("out"))
    if kind == "forecaster":
        return [[action] for action in ("predict", "evaluate", "resume")]
    if kind == "tagger":
        return [
            ["tag", "apply", str(run), f"{folder}/tokens.txt"],
            ["tag", "evaluate", str(run), f"{folder}/columns.txt", "--json"],
            ["tag", "train", f"{folder}/columns.txt", "--init-from", str(run), "--out", out, "--max-steps", "1"],
            ["tag", "train", "--resume", str(run), "--max-steps", "8"],
        ]
    infill = [["infill", str(run), "The ___ of", "--json"]] if kind == "bigru" else []
    return [
        ["sample", str(run), "--prompt", "The ", "--length", "20", "--seed", "1"],
        ["sample", str(run), "--length", "20", "--count", "3", "--json"],
        ["sample", str(run), "--length", "8", "--beam", "2"],
        ["score", str(run), f"{folder}/short.txt", "--json"],
        ["evaluate", str(run), f"{folder}/short.txt", "--json"],
        *infill,
        ["train", f"{folder}/text.txt", "--init-from", str(run), "--out", out, "--max-steps", "1", "--quiet"],
        ["train", "--resume", str(run), "--max-steps", "8", "--quiet"],
    ]


# What is altered: values of JSON, and arrays.


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


ODD_VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3.5, -0.0, 1e-320, 1e308, math.nan, math.inf, -math.inf, 255, 65536, 65537, 10**9,
    2**31, 2**32, 2**63 - 1, 2**63, -(2**63) - 1, 10**30, 10**400, "", "x", "0", "-1", "<unk>", "\0", "\ud800",
    "é" * 1000, "9" * 5000, "../../x", "/dev/zero", "/", "cpu", "gpu:7", "nan", [], {}, [[]], [0], ["x"], {"": None},
    {"x": [1]}, nested(40), nested(400),
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths to all values within a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    found = [] if not path else [path]
    for key, member in inner:
        found += places(member, (*path, key))
    return found


def at(values: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        values = values[key]
    return values


def altered(value: Any, chance: Chance) -> Any:
    """Return another value, often one that is like the old one."""
    if chance.random() < 0.4:
        return copy.deepcopy(chance.choice(ODD_VALUES))
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return chance.choice([value + 1, value - 1, -value, value * 2, value * 10**6, float(value), str(value), 10**18])
    if isinstance(value, str):
        return chance.choice([value + "x", value[:-1], value.upper(), [value], value * 300, value[::-1]])
    if isinstance(value, list) and value:
        return chance.choice(
            [value[:-1], value[1:], value + value[:1], value * 3, value[::-1], [*value, None], [value], value[0]]
        )
    if isinstance(value, dict) and value:
        key = chance.choice(sorted(value))
        rest = {k: v for k, v in value.items() if k != key}
        return chance.choice([rest, {**rest, f"{key}x": value[key]}, {**value, "x": 1}, list(value.values()), [value]])
    return copy.deepcopy(chance.choice(ODD_VALUES))


def alter_json(values: dict[str, Any], chance: Chance) -> str:
    """Alter something in the values; return what."""
    paths = places(values)
    if chance.random() < 0.5:  # else the many tokens and figures hide the few other values
        shallow = [path for path in paths if len(path) < 3 and not isinstance(path[-1], int)]
        paths = shallow or paths
    if not paths:
        values["x"] = 1
        return "x added"
    path = chance.choice(paths)
    parent, key = at(values, path[:-1]), path[-1]
    what = chance.randrange(10)
    if what == 0:
        del parent[key]
        return f"{path} removed"
    if what == 1:
        other = chance.choice(paths)
        if other[: len(path)] != path and path[: len(other)] != other:
            there = at(values, other[:-1])
            parent[key], there[other[-1]] = there[other[-1]], parent[key]
            return f"{path} exchanged with {other}"
    parent[key] = altered(parent[key], chance)
    return f"{path} made {repr(parent[key])[:60]}"


def alter_sizes(config: dict[str, Any], chance: Chance) -> str:
    """Give settings and architecture the same other size."""
    settings, sizes = config["settings"], config["architecture"]
    name = chance.choice(sorted(sizes))
    sizes[name] = settings[name] = altered(sizes[name], chance)
    return f"{name} made {repr(sizes[name])[:60]} in settings and architecture"


TYPES = ["float16", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool"]


def alter_array(arrays: dict[str, np.ndarray], chance: Chance) -> str:
    name = chance.choice(sorted(arrays))
    array = arrays[name]
    changes = "removed renamed added type shape cut grown flat empty filled exchanged noise"
    what = chance.choice(changes.split())
    if what == "removed":
        del arrays[name]
    elif what == "renamed":
        _, _, rest = name.partition("/")
        new = chance.choice([name + "x", name[:-1], rest, f"task/{rest}", f"model/{rest}", "", "model/", "/" + name])
        arrays[new] = arrays.pop(name)
        return f"{name} renamed {new}"
    elif what == "added":
        new = chance.choice(["x", "model/x", f"{name}x", "model/forward_stack.0.x", "task/9/9", "model/" + "x" * 3000])
        arrays[new] = chance.choice([array, np.zeros(3, np.float32), np.zeros((), np.float32)])
        return f"{new[:60]} added"
    elif what == "type":
        arrays[name] = array.astype(chance.choice(TYPES))
        return f"{name} made {arrays[name].dtype}"
    elif what == "shape":
        arrays[name] = array.T if chance.random() < 0.5 else array[None]
    elif what == "cut":
        arrays[name] = array[:-1] if chance.random() < 0.5 else array[..., :-1]
    elif what == "grown":
        arrays[name] = np.concatenate([array, array[-1:]]) if array.ndim else array[None]
    elif what == "flat":
        arrays[name] = array.reshape(-1)
    elif what == "empty":
        arrays[name] = array[:0]
    elif what == "filled":
        number = chance.choice([math.nan, math.inf, -math.inf, 3e38, -3e38, 1e-45, 0.0, 1e20])
        arrays[name] = np.full_like(array, number) if chance.random() < 0.5 else array.copy()
        if arrays[name].size:
            arrays[name].flat[chance.randrange(array.size)] = number
        return f"{name} filled with {number}"
    elif what == "exchanged":
        other = chance.choice(sorted(arrays))
        arrays[name], arrays[other] = arrays[other], array
    else:
        scale = chance.choice([1.0, 100.0, 1e6, 1e30])
        noise = np.random.default_rng(chance.randrange(2**32)).normal(size=array.shape) * scale
        arrays[name] = noise.astype(np.float32)
    return f"{name} {what}"


@dataclasses.dataclass
class Contents:
    """All that is in a run, to be altered and written with right digests."""

    json: dict[str, dict[str, Any]]
    arrays: dict[str, dict[str, np.ndarray]]
    states: dict[str, Any]
    history: list[Any]

    @classmethod
    def read(cls, run: Path) -> Contents:
        documents = {path.name: json.loads(path.read_bytes()) for path in run.glob("*.json")}
        for values in documents.values():
            del values["digest"]
        loaded = {path.name: load_checkpoint(path) for path in run.glob("*.safetensors")}
        lines = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
        return cls(
            documents,
            {name: dict(arrays) for name, (arrays, _) in loaded.items()},
            {name: state for name, (_, state) in loaded.items()},
            [{key: value for key, value in line.items() if key != "check"} for line in lines],
        )

    def alter(self, chance: Chance) -> str:
        """Alter something; return what."""
        what = chance.choices(["json", "sizes", "state", "array", "history"], [30, 8, 20, 22, 8])[0]
        if what == "json":
            name = chance.choice(sorted(self.json))
            return f"{name}: {alter_json(self.json[name], chance)}"
        if what == "sizes":
            return f"config.json: {alter_sizes(self.json['config.json'], chance)}"
        name = chance.choice(sorted(self.states))
        if what == "state":
            if chance.random() < 0.02:
                self.states[name] = copy.deepcopy(chance.choice(ODD_VALUES))
                return f"{name}: its state made {repr(self.states[name])[:60]}"
            return f"{name}: {alter_json(self.states[name], chance)}"
        if what == "array":
            return f"{name}: {alter_array(self.arrays[name], chance)}"
        record = chance.choice(self.history)
        return f"history.jsonl: {alter_json(record, chance)}"

    def write(self, run: Path) -> None:
        """Write the files with the digests that what is in them has."""
        config = self.json["config.json"]
        for name, values in self.json.items():
            (run / name).write_text(json.dumps({**values, "digest": json_digest(values)}))
        digests = self._write_history(run, config.get("run_id"))
        for name, arrays in self.arrays.items():
            state = copy.deepcopy(self.states[name])
            if isinstance(state, dict):
                if "model" in state:
                    state["model"] = self._model_digest(state["model"])
                training = state.get("training")
                extensions = training.get("extensions") if isinstance(training, dict) else None
                for known in (
                    state.get("history"),
                    extensions.get("history") if isinstance(extensions, dict) else None,
                ):
                    if isinstance(known, dict) and "digest" in known and known.get("lines") in range(len(digests)):
                        known["digest"] = digests[known["lines"]]
            text = json.dumps(state, sort_keys=True)
            contiguous = {key: np.ascontiguousarray(array) for key, array in arrays.items()}
            metadata = {"format": FORMAT, "state": text, "digest": _digest(contiguous, contiguous.__getitem__, text)}
            (run / name).write_bytes(save(contiguous, metadata=metadata))

    def _write_history(self, run: Path, run_id: Any) -> list[str]:
        digest = hashlib.blake2b((run_id if isinstance(run_id, str) else "").encode(errors="replace"), digest_size=16)
        digests, lines = [digest.hexdigest()], []
        for record in self.history:
            digest.update(json.dumps(record).encode())
            digests.append(digest.hexdigest())
            lines.append(json.dumps({**record, "check": digest.hexdigest()[:16]}) + "\n")
        (run / "history.jsonl").write_text("".join(lines))
        return digests

    def _model_digest(self, otherwise: Any) -> Any:
        config = self.json["config.json"]
        try:
            roles = [role for role in sorted(config["plugins"]) if role != "optimizer"]
            plugins = [[r, config["plugins"][r]["name"], config["settings"].get(f"{r}_options")] for r in roles]
            meanings = self.json.get("vocabulary.json" if config["task"] == "language model" else "encoders.json")
            return json_digest([meanings, None, config["architecture"], plugins])
        except (LookupError, TypeError, AttributeError):
            return otherwise


# How it is tried, each command in a process of its own, forked before MXNet has threads.


@dataclasses.dataclass
class Outcome:
    """How a command ended: what went wrong, or how it ended as it may."""

    fault: str
    code: int
    errors: str


def run_alone(function: Callable[[], Any], output: Path, memory: int | None, seconds: int | None = SECONDS) -> Outcome:
    """Call a function in a child with limits of time, if ``seconds`` are given, and memory; return how it ended."""
    errors = output.with_suffix(".err")
    child = os.fork()
    if child == 0:
        code = CRASHED
        try:
            for path, descriptor in ((output, 1), (errors, 2)):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            if seconds is not None:
                resource.setrlimit(resource.RLIMIT_CPU, (PROCESSOR_SECONDS, PROCESSOR_SECONDS + 1))
            if memory is not None:
                resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
            function()
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else CRASHED
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    ended = os.pidfd_open(child)
    in_time = bool(select.select([ended], [], [], seconds)[0])
    os.close(ended)
    if not in_time:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    told = errors.read_text(errors="replace")
    fault = ""
    if not in_time or code == -signal.SIGXCPU:
        fault = "out of time"
    elif "Sanitizer" in told or "runtime error:" in told:
        fault = "report of a sanitizer"
    elif code < 0:
        fault = "death by a signal"
    elif code == CRASHED or "Traceback (most recent call last)" in told:
        fault = "traceback"
    elif code not in (0, 1, 2) or (code and not last_line(told).startswith("seqlm: error: ")):
        fault = "end without a word"
    elif code and len(last_line(told)) > 2000:
        fault = "endless message"
    return Outcome(fault, code, told)


def last_line(text: str) -> str:
    return (text.splitlines() or [""])[-1]


def is_json(output: str, by_line: bool) -> bool:
    def refuse(name: str) -> Any:
        raise ValueError(f"{name} is no JSON")

    try:
        for text in output.splitlines() if by_line else [output]:
            json.loads(text, parse_constant=refuse)
    except ValueError:
        return False
    return True


def try_command(kind: str, run: Path, command: list[str], memory: int | None) -> Outcome:
    output = run.with_name("output")
    if kind == "forecaster":
        return run_alone(lambda: use_forecaster(run, command[0]), output, memory)
    outcome = run_alone(lambda: seqlm_main(command), output, memory)
    shown = output.read_text(errors="replace")
    if outcome.code == 0 and "--json" in command and not is_json(shown, command[0] == "score"):
        outcome.fault = "invalid JSON"
    return outcome


def preload() -> None:
    """Load what the commands need, so that no child has to; nothing of it has a thread before it computes."""
    import matplotlib.backends.backend_agg  # noqa: F401

    import seqlm_core.evaluation.language
    import seqlm_core.evaluation.sequences
    import seqlm_core.training.tasks.language
    import seqlm_core.training.tasks.sequences  # noqa: F401
    from seqlm_core.native.training import available_backends
    from seqlm_core.training.extensions import plot

    available_backends()
    plot.draw_losses = lambda *arguments: None  # takes longer than all else, and its failures are warnings


def use_libraries(folder: Path) -> None:
    """Compute with other builds of the native libraries."""
    from seqlm_core.native import generation, training

    generation.LIBRARY, training.LIBRARY = (folder / f"libseqlm_{n}.so" for n in ("generation", "training"))
    if generation.generation_library() is None or len(training.available_backends()) < 2:
        sys.exit("the libraries cannot be used")


def try_cases(given: argparse.Namespace, folder: Path) -> int:
    memory = None
    ended = run_alone(lambda: train_runs(folder), folder / "training", None, None)
    if ended.code:
        sys.exit(f"the runs cannot be trained ({ended.code}): {ended.errors}")
    preload()
    if not given.libraries:  # a sanitizer's own memory is beyond any limit
        memory = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE") + MEMORY
    kinds = ["lstm", "bigru", "tagger", "forecaster"]
    originals = {kind: Contents.read(folder / kind) for kind in kinds}
    counts: collections.Counter[str] = collections.Counter()
    faults: list[str] = []
    began = time.monotonic()
    numbers = range(given.first, given.first + given.cases) if given.only is None else [given.only]
    for number in numbers:
        chance = Chance(f"{given.seed} {number}")
        kind = kinds[number % len(kinds)]
        altered_run = copy.deepcopy(originals[kind])
        done = " and ".join(altered_run.alter(chance) for _ in range(chance.choice([1, 1, 1, 2])))
        run = folder / "case" / kind
        tried = commands(kind, folder, run)
        if not given.all_commands and given.only is None:
            tried = [tried[number // len(kinds) % len(tried)]]
        for command in tried:
            if not run.exists() or "--init-from" in command or "--resume" in command or command == ["resume"]:
                shutil.rmtree(folder / "case", ignore_errors=True)
                shutil.copytree(folder / kind, run)
                altered_run.write(run)
            outcome = try_command(kind, run, command, memory)
            counts[outcome.fault or ("used" if outcome.code == 0 else "refused")] += 1
            if outcome.fault:
                faults.append(f"case {number}: {done}\n  {' '.join(command)}: {outcome.fault} ({outcome.code})")
                print(faults[-1], outcome.errors[-given.show :], sep="\n", flush=True)
            elif given.only is not None:
                print(f"{done}\n  {' '.join(command)}: {outcome.code} {last_line(outcome.errors)}", flush=True)
        shutil.rmtree(folder / "case", ignore_errors=True)
    print(f"{len(numbers)} runs, {sum(counts.values())} commands in {time.monotonic() - began:.0f} s: {dict(counts)}")
    print(f"{len(faults)} faults: tracebacks, time-outs, deaths by a signal, reports of sanitizers, invalid JSON")
    return 1 if faults else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, metavar="N", help="number of the first case")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--all-commands", action="store_true", help="each case by all commands, not one after the other"
    )
    parser.add_argument("--only", type=int, metavar="N", help="repeat one case, and show how each command ends")
    parser.add_argument("--show", type=int, default=1500, metavar="N", help="characters of an error's output")
    parser.add_argument("--sanitize", action="store_true", help="with native libraries built with sanitizers")
    parser.add_argument("--libraries", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="seqlm-hostile-") as name:
        folder = Path(name)
        if given.sanitize:
            sys.path.insert(0, str(PROJECT / "tests" / "native"))
            from sanitize import sanitized

            environment = sanitized(folder)
            arguments = [argument for argument in sys.argv[1:] if argument != "--sanitize"]
            command = [sys.executable, __file__, *arguments, "--libraries", name]
            return subprocess.run(command, env=environment).returncode
        if given.libraries:
            use_libraries(given.libraries)
        return try_cases(given, folder)


if __name__ == "__main__":
    sys.exit(main())
