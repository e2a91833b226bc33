"""Walks through the commands that need no MXNet, for all runs of a folder, and returns what they make.

python tests/all_commands.py FOLDER [elsewhere|graphs]

The folder has a folder ``runs``, a file ``text.txt``, a column file ``columns.tsv``, and files of examples
``NAME.json`` for the sequence models that no command uses. With ``elsewhere`` it is walked where neither MXNet nor a
POSIX system is. With ``graphs`` whole sequences are read by MXNet however few they are. What is made is printed as
JSON: for each command its exit code, standard output and standard error, and for each model in Python what it predicts.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import threading
import urllib.request
from pathlib import Path


def run_cli(*arguments):
    """Return exit code, standard output and standard error of a command."""
    from seqlm_core.command_line.main import main

    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as ended:
            code = ended.code
    return [code, out.getvalue(), err.getvalue()]


def config_of(run):
    return json.loads((run / "config.json").read_text(encoding="utf-8"))


def is_of_text(run):
    """Whether a run is that of a language model."""
    return config_of(run)["task"] == "language model"


def commands_of(run, folder):
    """Yield the commands that are for a run."""
    config = config_of(run)
    text, columns = folder / "text.txt", folder / "columns.tsv"
    if is_of_text(run):
        yield "config", run
        yield "sample", run, "--length", "30", "--seed", "1", "--prompt", "the "
        yield "sample", run, "--length", "10", "--seed", "1", "--count", "2", "--json"
        yield "score", run, text, "--json"
        yield "evaluate", run, text, "--json"
        yield "inspect", run, text, "--limit", "60", "--out", folder / "page.html"
        if config["architecture"]["bidirectional"]:
            yield "infill", run, "the _ of the _ was", "--gap", "2", "--json"
        else:
            yield "evaluate", run, text, "--cache", "50", "--json"
            yield "score", run, text, "--cache", "50", "--json"
    elif config["architecture"]["outputs"] == "labels" and config["architecture"]["inputs"] == "tokens":
        own = ["--column", "2"] if config["architecture"].get("columns") else []
        yield "tag", "apply", run, columns, "--n-best", "2", "--probabilities", "--marginals", "--json", *own
        yield "tag", "evaluate", run, columns, "--json", *own
        yield "inspect", run, columns, "--out", folder / "page.html", *own


def commands(folder):
    """Yield all commands."""
    runs = sorted((folder / "runs").iterdir())
    yield "plugins", "--json"
    yield "runs", folder / "runs", "--json"
    yield "report", *runs, "--out", folder / "page.html"
    yield "plot", *filter(is_of_text, runs), "--out", folder / "losses.svg"
    for run in runs:
        yield from commands_of(run, folder)


def predictions(run):
    """Return what a sequence model makes of the examples in the file of its name; None without one."""
    from seqlm_core import SequenceRun

    path = run.parent.parent / f"{run.name}.json"
    if not path.exists():
        return None
    opened, examples = SequenceRun(run), json.loads(path.read_text())
    read = [sequence for sequence, _ in examples]
    found = {"predicted": as_lists(opened.predict(read)), "figures": opened.evaluate(examples).to_json()}
    if opened.architecture.outputs != "values":
        found["probabilities"] = as_lists(opened.probabilities(read))
    return found


def as_lists(values):
    return [value.tolist() if hasattr(value, "tolist") else value for value in values]


def played(run):
    """Return the page of ``seqlm play``, from its server."""
    from seqlm_core import LanguageRun
    from seqlm_core.play.server import listening_socket, make_server

    with listening_socket(0) as listening:
        threading.Thread(target=make_server(LanguageRun(run), listening), daemon=True).start()
        with urllib.request.urlopen(f"http://127.0.0.1:{listening.getsockname()[1]}/", timeout=30) as page:
            return page.read().decode()


def walk(folder):
    """Return what all commands make, and all predictions."""
    made = {" ".join(str(word) for word in words): run_cli(*words) for words in commands(folder)}
    made.update({f"predictions of {run.name}": predictions(run) for run in sorted((folder / "runs").iterdir())})
    return made


def walk_elsewhere(folder):
    """Do the same where there is no MXNet, with what only such a place shows."""
    import importlib

    import seqlm_core

    made = walk(folder)
    runs = folder / "runs"
    made["others"] = [run_cli("cache"), run_cli("new-plugin", "--kind", "cell", "own", "--directory", folder)]
    made["play"] = played(runs / "lstm")
    made["refused"] = {
        " ".join(words): run_cli(*words)
        for words in (
            ("train", str(folder / "text.txt"), "--out", str(folder / "new")),
            ("train", "--resume", str(runs / "lstm")),
            ("tag", "train", str(folder / "columns.tsv"), "--out", str(folder / "new")),
            ("evaluate", str(runs / "lstm"), str(folder / "text.txt"), "--adapt"),
            ("score", str(runs / "lstm"), str(folder / "text.txt"), "--adapt"),
            ("check", "cell:lstm"),
        )
    }
    modules = {}
    root = Path(seqlm_core.__file__).parent
    for path in sorted(root.rglob("*.py")):
        name = ".".join(path.relative_to(root.parent).with_suffix("").parts).replace(".__init__", "")
        try:
            importlib.import_module(name)
        except Exception as error:
            modules[name] = f"{type(error).__name__}: {error}"
    made["modules that cannot be imported"] = modules
    made["imported"] = sorted(name for name in sys.modules if name.partition(".")[0] == "mxnet")
    return made


if __name__ == "__main__":
    where = Path(sys.argv[1])
    if sys.argv[2:] == ["elsewhere"]:
        from elsewhere import be_elsewhere

        be_elsewhere()
        print(json.dumps(walk_elsewhere(where)))
    else:
        if sys.argv[2:] == ["graphs"]:
            from seqlm_core.runs import networks

            networks.FEW_MULTIPLICATIONS = -1
        print(json.dumps(walk(where)))
