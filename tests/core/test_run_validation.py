"""A run whose digests are right and whose values are nonsense is refused when it is loaded, by whatever uses it."""

from __future__ import annotations

import math
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL

import seqlm_core as seqlm
from seqlm_core.model.architecture import LanguageArchitecture
from seqlm_core.model.build import build_language_network
from seqlm_core.model.initialization import unique_parameters
from seqlm_core.model.parameters import check_parameters
from seqlm_core.plugins.components import Component
from seqlm_core.runs.opening import open_run
from seqlm_core.storage.schema import COUNT, NUMBER, TEXT, check, one_of, optional

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "faults"))
from hostile import Contents

BEST, LAST = "best.safetensors", "last.safetensors"


# Names and shapes of weights, known without MXNet


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "birnn", "bigru", "bilstm"])
@pytest.mark.parametrize(("embedding_size", "tie_weights"), [(0, False), (5, False), (6, True)])
@pytest.mark.parametrize("layers", [1, 3])
def test_the_weights_that_are_expected_are_those_of_the_model(cell, embedding_size, tie_weights, layers):
    component = Component.choose(seqlm.installed_plugins().cells, cell, {})
    architecture = LanguageArchitecture(11, 6, layers, embedding_size, component.spec.bidirectional, tie_weights)
    model = build_language_network(architecture, component)
    weights = {name: np.zeros(p.shape, np.float32) for name, p in unique_parameters(model).items()}
    formula = component.spec.native_formula(component.options)
    assert formula is not None
    for known in (formula, None):
        check_parameters(weights, architecture, known)
    for name, array in weights.items():
        for wrong in ({**weights, name: array[:-1]}, {**weights, name: array[None]}):
            with pytest.raises(ValueError, match=f"'{name}' has shape"):
                check_parameters(wrong, architecture, formula)
        with pytest.raises(ValueError, match=f"'{name}' is missing"):
            check_parameters({k: v for k, v in weights.items() if k != name}, architecture, formula)
        with pytest.raises(ValueError, match=f"no parameter '{name}x'"):
            check_parameters({**weights, f"{name}x": array}, architecture, formula)
    for stranger in (
        f"forward_stack.{layers}.h2h_weight",
        "forward_stack.00.h2h_weight",
        "sideways_stack.0.x",
        "x",
        "",
    ):
        for known in (formula, None):
            with pytest.raises(ValueError, match="no parameter"):
                check_parameters({**weights, stranger: np.zeros(3, np.float32)}, architecture, known)


# Runs


@pytest.fixture(scope="module")
def runs(short_text, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    settings = {**SMALL, "hidden_size": 8, "max_steps": 6, "log_every": 2, "schedule": "constant", "layers": 2}
    seqlm.train(short_text, out=folder / "text", cell="gru", quiet=True, **settings)
    words = [line.split() for line in short_text.read_text()[:2000].splitlines() if line]
    model = seqlm.SequenceModel(cell="gru", hidden_size=8, epochs=1, char_cell="gru", char_hidden_size=4)
    examples = [(line, [word[-1] for word in line]) for line in words]
    model.train(examples, examples[:2], out=folder / "labels", quiet=True)
    return {kind: folder / kind for kind in ("text", "labels")}


USES = {
    "text": {
        "sample": lambda path, text: open_run(path).sample(length=2),
        "score": lambda path, text: list(open_run(path).score(text)),
        "evaluate": lambda path, text: open_run(path).evaluate(text),
        "resume": lambda path, text: seqlm.resume(path, quiet=True, max_steps=8),
        "init_from": lambda path, text: seqlm.train(
            text, out=path / "new", init_from=path, quiet=True, max_steps=1, sequence_length=20
        ),
    },
    "labels": {
        "predict": lambda path, text: open_run(path).predict([["the", "king"]]),
        "evaluate": lambda path, text: open_run(path).evaluate([(["the"], ["e"])]),
        "resume": lambda path, text: seqlm.resume(path, quiet=True),
        "init_from": lambda path, text: seqlm.SequenceModel().train(
            [(["a", "b"], ["x", "y"])], out=path / "new", init_from=path, quiet=True
        ),
    },
}
READ_BY_ALL = None


def sizes(**changes):
    def alter(run):
        run.json["config.json"]["architecture"].update(changes)
        known = run.json["config.json"]["settings"]
        known.update({name: value for name, value in changes.items() if name in known})

    return alter


def config(key, *keys, value):
    def alter(run):
        values = run.json["config.json"]
        for inner in (key, *keys)[:-1]:
            values = values[inner]
        values[(key, *keys)[-1]] = value

    return alter


def without(*keys):
    def alter(run):
        values = run.json["config.json"]
        for inner in keys[:-1]:
            values = values[inner]
        del values[keys[-1]]

    return alter


def longer_vocabulary(run):
    run.json["vocabulary.json"]["tokens"].append("new")
    run.json["vocabulary.json"]["counts"].append(1)


def of_vocabulary(**changes):
    return lambda run: run.json["vocabulary.json"].update(changes)


def weights(change, files=(BEST, LAST)):
    def alter(run):
        for name in files:
            arrays = run.arrays[name]
            arrays["model/head.bias"] = change(arrays["model/head.bias"])

    return alter


def added(run):
    for name in (BEST, LAST):
        run.arrays[name]["model/forward_stack.0.extra"] = np.zeros(3, np.float32)


def optimizer_array(change):
    def alter(run):
        name = next(name for name in run.arrays[LAST] if name.startswith("optimizer/"))
        run.arrays[LAST][name] = change(run.arrays[LAST][name])

    return alter


def state(*keys, value):
    def alter(run):
        values = run.states[LAST]
        for inner in keys[:-1]:
            values = values[inner]
        values[keys[-1]] = value

    return alter


def codecs(*keys, change):
    def alter(run):
        values = run.json["encoders.json"]
        for inner in keys[:-1]:
            values = values[inner]
        values[keys[-1]] = change(values[keys[-1]])

    return alter


def record(**changes):
    return lambda run: run.history[0].update(changes)


RESUME = ("resume",)
NESTED = [[[[[[[[[[0]]]]]]]]]]
# fmt: off
NONSENSE = {
    # what: (kind of run, change, uses that meet it (all without), what is told)
    "a larger vocabulary": ("text", longer_vocabulary, READ_BY_ALL, r"vocabulary\.json does not fit config\.json"),
    "no layers": ("text", sizes(layers=0), READ_BY_ALL, "layers: must be at least 1"),
    "too many layers": ("text", sizes(layers=10**9), READ_BY_ALL, "layers: must be at most 100"),
    "units without end": ("text", sizes(hidden_size=10**30), READ_BY_ALL, "hidden_size: must be at most"),
    "other sizes than the settings": ("text", config("architecture", "hidden_size", value=9), READ_BY_ALL,
                                      "hidden_size is 9, and settings"),
    "layers that the weights do not have": ("text", sizes(layers=50), READ_BY_ALL, "'forward_stack.2.*' is missing"),
    "units that the weights do not have": ("text", sizes(hidden_size=60_000), READ_BY_ALL, "has shape"),
    "another direction": ("text", sizes(bidirectional=True), READ_BY_ALL, "bidirectional is True"),
    "tied weights": ("text", sizes(tie_weights=True, embedding_size=8), READ_BY_ALL, "no parameter 'head.weight'"),
    "no sizes": ("text", config("architecture", value=[]), READ_BY_ALL, "must be an object"),
    "no texts": ("text", config("texts", "training", value=[]), READ_BY_ALL, "must not be empty"),
    "a text without a path": ("text", config("texts", "training", value=[{}]), READ_BY_ALL, "has no 'path'"),
    "no kernels": ("text", without("kernels"), READ_BY_ALL, "has no 'kernels'"),
    "settings without a cell": ("labels", without("settings", "cell"), READ_BY_ALL, "name None as cell"),
    "a cell that is not the plugins'": ("text", config("settings", "cell", value="lstm"), READ_BY_ALL,
                                        "name 'lstm' as cell, and its plugins 'gru'"),
    "nested settings": ("text", config("settings", "epochs", value=NESTED), READ_BY_ALL, "epochs: must be a whole"),
    "a rate without end": ("text", config("settings", "learning_rate", value=10**400), READ_BY_ALL, "a finite number"),
    "steps beyond 64 bits": ("text", config("settings", "epochs", value=2**63), READ_BY_ALL, r"must be below 2\*\*63"),
    "threads without a number": ("text", config("threads", value="many"), READ_BY_ALL, "a number of threads"),
    "tokens that are numbers": ("text", of_vocabulary(tokens=[1, 2]), READ_BY_ALL, r"tokens'\]\[0\] must be a text"),
    "no tokens": ("text", of_vocabulary(tokens=[]), READ_BY_ALL, "must not be empty"),
    "counts beyond 64 bits": ("text", of_vocabulary(counts=[2**63]), READ_BY_ALL, "from 0 to 2"),
    "counts below 0": ("text", of_vocabulary(counts=[-1]), READ_BY_ALL, "from 0 to 2"),
    "weights not a number": ("text", weights(lambda a: a * math.nan), READ_BY_ALL, "not finite"),
    "infinite weights": ("text", weights(lambda a: a + math.inf), READ_BY_ALL, "not finite"),
    "weights of another type": ("text", weights(lambda a: a.astype(np.float64)), READ_BY_ALL, "float64"),
    "weights of whole numbers": ("text", weights(lambda a: a.astype(np.uint16)), READ_BY_ALL, "uint16"),
    "weights of another shape": ("text", weights(lambda a: a[:, None]), READ_BY_ALL, "has shape"),
    "weights too many": ("text", added, READ_BY_ALL, "no parameter 'forward_stack.0.extra'"),
    "labels' weights too many": ("labels", added, READ_BY_ALL, "no parameter 'forward_stack.0.extra'"),
    "labels' weights not a number": ("labels", weights(lambda a: a * math.nan), READ_BY_ALL, "not finite"),
    "labels twice": ("labels", codecs("outputs", "labels", change=lambda a: [*a[:-1], a[0]]), READ_BY_ALL, "twice"),
    "more labels": ("labels", codecs("outputs", "labels", change=lambda a: [*a, "new"]), READ_BY_ALL,
                    r"encoders\.json does not fit config\.json: it makes the model's output_size"),
    "labels that are lists": ("labels", codecs("outputs", "labels", change=lambda a: [[x] for x in a]), READ_BY_ALL,
                              "must be a text or a whole number"),
    "inputs that are labels": ("labels", codecs("inputs", "kind", change=lambda a: "labels"), READ_BY_ALL,
                               "must be one of tokens, values"),
    "no characters": ("labels", codecs("inputs", "characters", change=lambda a: None), READ_BY_ALL,
                      "makes the model's characters 0"),
    "more characters than sizes": ("labels", sizes(characters=99), READ_BY_ALL, "characters"),
    "an optimizer's array of another shape": ("text", optimizer_array(lambda a: a[:-1]), RESUME, "optimizer"),
    "an optimizer's array of another type": ("text", optimizer_array(lambda a: a.astype(np.int64)), RESUME,
                                             "optimizer"),
    "no position": ("text", state("training", "window", value=None), RESUME, "'window'"),
    "a step that is no number": ("text", state("training", "step", value="6"), RESUME, "must be a whole number"),
    "a step that is not in its epoch": ("text", state("training", "step", value=2), RESUME, "not in its epoch"),
    "losses of three numbers": ("text", state("training", "losses_since_epoch", value=[1, 2, 3]), RESUME,
                                "a list of 2"),
    "no state of the validation": ("text", state("training", "extensions", value={}), RESUME, "has no 'validation'"),
    "patience that is a text": ("text", state("training", "extensions", "early_stopping", "epochs_without_best",
                                              value="0"), RESUME, "must be a whole number"),
    "a record without a step": ("text", record(step=None), RESUME, "'step'"),
    "a record of no kind": ("text", record(kind=["report"]), RESUME, "must be one of report, epoch"),
    "a figure that is a text": ("text", record(training_nats_per_token="low"), RESUME, "must be a finite number"),
}
# fmt: on
CASES = [(what, use) for what, (kind, _, uses, _) in NONSENSE.items() for use in (USES[kind] if uses is None else uses)]


@pytest.mark.parametrize(("what", "use"), CASES, ids=lambda value: value)
def test_nonsense_with_right_digests_is_refused_whatever_uses_it(what, use, runs, short_text, tmp_path):
    kind, alter, _, told = NONSENSE[what]
    run = tmp_path / "run"
    shutil.copytree(runs[kind], run)
    contents = Contents.read(run)
    alter(contents)
    contents.write(run)
    with pytest.raises(seqlm.RunError, match=told) as error:
        USES[kind][use](run, short_text)
    assert len(str(error.value).splitlines()) == 1
    assert len(str(error.value)) < 600
    assert not (run / "new").exists()


@pytest.mark.parametrize("kind", USES)
def test_a_run_that_is_written_again_as_it_is_is_used(kind, runs, short_text, tmp_path):
    """So what is refused above is refused for what was altered."""
    for use in USES[kind].values():
        run = tmp_path / "run"
        shutil.copytree(runs[kind], run)
        Contents.read(run).write(run)
        use(run, short_text)
        shutil.rmtree(run)


def test_json_that_is_nested_without_end_is_refused(runs, tmp_path):
    for depth in (900, 990, 100_000):
        run = tmp_path / f"run-{depth}"
        shutil.copytree(runs["text"], run)
        (run / "config.json").write_text('{"digest": "x", "settings": ' + "[" * depth + "]" * depth + "}")
        with pytest.raises(seqlm.RunError, match=r"config\.json is damaged"):
            open_run(run)


# Descriptions


FORM = {
    "name": TEXT,
    "size?": COUNT,
    "kind": one_of("a", "b"),
    "pair": (NUMBER, COUNT),
    "many": [optional(NUMBER), ...],
}
GOOD = {"name": "x", "kind": "a", "pair": [0.5, 1], "many": [1, None], "other": [[]]}


def test_values_that_fit_a_description_pass():
    check(GOOD, FORM)
    check({**GOOD, "size": 2**63 - 1, "many": [-1e308]}, FORM)
    check({"a": 1, "b": 2}, {"a": COUNT, ...: COUNT})


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": 1}, r"it\['name'\] must be a text, not 1"),
        ({"size": 2**63}, "whole number"),
        ({"size": True}, "whole number"),
        ({"size": 1.0}, "whole number"),
        ({"kind": "c"}, "one of a, b, not 'c'"),
        ({"kind": []}, "one of a, b"),
        ({"pair": [0.5]}, "a list of 2"),
        ({"pair": [math.nan, 1]}, r"it\['pair'\]\[0\] must be a finite number"),
        ({"pair": [10**400, 1]}, "a finite number"),
        ({"pair": {"0": 1}}, "a list of 2"),
        ({"many": []}, "must not be empty"),
        ({"many": [1, "x" * 10_000]}, r"it\['many'\]\[1\] must be a finite number, or null, not .{1,60}$"),
    ],
)
def test_the_first_part_that_does_not_fit_is_named(changes, told):
    with pytest.raises(ValueError, match=told):
        check({**GOOD, **changes}, FORM)


def test_a_missing_part_and_another_type_are_named():
    with pytest.raises(ValueError, match="it has no 'pair'"):
        check({name: value for name, value in GOOD.items() if name != "pair"}, FORM)
    for other in (None, [], "x", 1):
        with pytest.raises(ValueError, match="it must be an object"):
            check(other, FORM)
