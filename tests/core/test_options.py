"""Options of plugins: conversion of what users write, and what is said of what does not fit."""

import dataclasses
import json
import math
from typing import Literal

import pytest

from seqlm_core.command_line.assignments import parse_assignments
from seqlm_core.errors import PluginError, UsageError
from seqlm_core.plugins.options import (
    NoOptions,
    check_options_class,
    describe_options,
    make_options,
    option,
    option_values,
)
from seqlm_core.plugins.specs import CellSpec, OptimizerSpec


@dataclasses.dataclass(frozen=True)
class Options:
    steps: int = option(3, "How many steps.")
    decay: float = option(0.5, "How fast it decays.")
    gated: bool = option(False, "Whether there is a gate.")
    shape: Literal["round", "square"] = option("round", "What it looks like.")
    label: str = option("none", "What it is called.")

    def __post_init__(self):
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, not {self.steps}")


SPEC = CellSpec("wave", "a cell", print, Options)


def converted(name, value):
    return getattr(make_options(SPEC, {name: value}), name)


def refusal(**given):
    with pytest.raises(UsageError) as caught:
        make_options(SPEC, given)
    return str(caught.value)


def test_defaults_hold_where_nothing_is_given():
    assert make_options(SPEC, {}) == Options(3, 0.5, False, "round", "none")


@pytest.mark.parametrize("word", ["true", "yes", "on", "1", "True", "YES"])
def test_words_that_mean_true(word):
    assert converted("gated", word) is True


@pytest.mark.parametrize("word", ["false", "no", "off", "0", "False", "OFF"])
def test_words_that_mean_false(word):
    spec = CellSpec("wave", "a cell", print, dataclasses.make_dataclass("Gated", [("gated", bool, True)]))
    assert make_options(spec, {"gated": word}).gated is False


@pytest.mark.parametrize("word", ["maybe", "", "2", "y es", None, 0.5])
def test_other_words_are_no_truth(word):
    assert refusal(gated=word) == f"cell option 'gated' of 'wave' must be true or false, not {word!r}"


@pytest.mark.parametrize(("given", "value"), [("7", 7), ("+7", 7), (7, 7), (7.0, 7)])
def test_whole_numbers(given, value):
    number = converted("steps", given)
    assert number == value
    assert type(number) is int


@pytest.mark.parametrize("given", ["7.5", "seven", "", "1e3", "nan", "inf", 7.5, math.nan, math.inf, True, None, [7]])
def test_what_is_no_whole_number(given):
    assert refusal(steps=given) == f"cell option 'steps' of 'wave' must be a whole number, not {given!r}"


@pytest.mark.parametrize(("given", "value"), [("0.25", 0.25), ("-1e-3", -0.001), ("2", 2.0), (2, 2.0), (0.25, 0.25)])
def test_numbers(given, value):
    number = converted("decay", given)
    assert number == value
    assert type(number) is float


@pytest.mark.parametrize("given", ["half", "", "nan", "inf", "-Infinity", "1e999", math.nan, math.inf, True, None])
def test_what_is_no_number(given):
    assert refusal(decay=given) == f"cell option 'decay' of 'wave' must be a number, not {given!r}"


def test_a_choice_is_taken_as_written():
    assert converted("shape", "square") == "square"


@pytest.mark.parametrize("given", ["Square", "", "oval", 1, None])
def test_what_is_no_choice_is_answered_with_the_choices(given):
    assert refusal(shape=given) == f"cell option 'shape' of 'wave' must be one of round, square, not {given!r}"


@pytest.mark.parametrize("given", ["", "1", "true", " two words "])
def test_text_stays_as_it_is(given):
    assert converted("label", given) == given


@pytest.mark.parametrize("given", [5, 0.5, True, None])
def test_what_is_no_text_is_refused_as_such(given):
    message = refusal(label=given)
    assert message.startswith("cell option 'label' of 'wave' must be ")
    assert "number" not in message


def test_an_unknown_option_is_answered_with_the_nearest_and_the_valid_ones():
    assert refusal(decai=1) == (
        "cell 'wave' has no option 'decai' (did you mean 'decay'?); its options: steps, decay, gated, shape, label"
    )


def test_no_nearest_option_is_made_up():
    assert refusal(xyzzy=1) == "cell 'wave' has no option 'xyzzy'; its options: steps, decay, gated, shape, label"


def test_a_plugin_without_options_says_so():
    with pytest.raises(UsageError, match=r"^optimizer 'plain' has no options, so none called 'decay'$"):
        make_options(OptimizerSpec("plain", "an optimizer", print), {"decay": "1"})


def test_a_value_out_of_range_is_the_users_error():
    assert refusal(steps="0") == "options of cell 'wave': steps must be at least 1, not 0"


def test_option_values_make_the_same_options_again_by_way_of_json():
    options = make_options(SPEC, {"steps": "9", "decay": "0.1", "gated": "on", "shape": "square", "label": "a=b"})
    values = json.loads(json.dumps(option_values(options)))
    assert make_options(SPEC, values) == options


def test_option_values_of_a_class_are_refused():
    with pytest.raises(TypeError, match="not their class"):
        option_values(Options)


def test_a_description_has_name_type_default_and_help_of_each_option():
    described = describe_options(Options)
    assert [tuple(entry.values()) for entry in described] == [
        ("steps", "int", 3, "How many steps."),
        ("decay", "float", 0.5, "How fast it decays."),
        ("gated", "bool", False, "Whether there is a gate."),
        ("shape", "round|square", "round", "What it looks like."),
        ("label", "str", "none", "What it is called."),
    ]
    assert set(described[0]) == {"name", "type", "default", "help"}


def test_assignments_become_a_dictionary():
    assert parse_assignments(["decay=0.1", "label=a=b", "shape="], "--cell-option") == {
        "decay": "0.1",
        "label": "a=b",
        "shape": "",
    }


def test_dashes_in_an_assigned_name_are_underscores_and_those_of_the_value_stay():
    assert parse_assignments(["weight-decay=a-b"], "--optimizer-option") == {"weight_decay": "a-b"}


@pytest.mark.parametrize("text", ["decay", "=1", "", "="])
def test_an_assignment_without_name_or_equals_sign_is_refused(text):
    with pytest.raises(UsageError) as caught:
        parse_assignments([text], "--cell-option")
    assert str(caught.value) == f"--cell-option {text!r} must be written NAME=VALUE"


@pytest.mark.parametrize(
    ("first", "second"), [("decay", "decay"), ("weight-decay", "weight_decay"), ("weight-decay", "weight-decay")]
)
def test_an_option_given_twice_is_refused(first, second):
    with pytest.raises(UsageError, match=r"^--optimizer-option (weight[-_])?decay is given twice$"):
        parse_assignments([f"{first}=1", f"{second}=2"], "--optimizer-option")


def options_class(kind, default):
    return dataclasses.make_dataclass("Made", [("size", kind, option(default, "A size."))])


@pytest.mark.parametrize(
    "options",
    [NoOptions, Options, options_class(float, 1), options_class(Literal["a", "b"], "b"), options_class(str, "")],
)
def test_usable_options_pass(options):
    check_options_class(options, "cell 'wave'")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (dict, "options must be a dataclass, not <class 'dict'>"),
        (Options(), "options must be a dataclass, not Options("),
        (None, "options must be a dataclass, not None"),
        (dataclasses.make_dataclass("Bare", [("size", int)]), "options Bare cannot be made: "),
        (
            dataclasses.make_dataclass("Factory", [("size", int, dataclasses.field(default_factory=int))]),
            "option 'size' has no default",
        ),
        (options_class("Nowhere", 1), "options Made cannot be made: name 'Nowhere' is not defined"),
        (options_class(list[str], None), "option 'size' must be a bool, int, float, str or a Literal of strings"),
        (options_class(Literal[1, 2], 1), "option 'size' must be a bool, int, float, str or a Literal of strings"),
        (options_class(Literal["a", "b"], "c"), "default of option 'size' must be one of a, b, not 'c'"),
        (options_class(int, 0.5), "default of option 'size' must be a whole number, not 0.5"),
        (options_class(float, math.inf), "default of option 'size' must be a number, not inf"),
        (options_class(bool, 1), "default of option 'size' must be true or false, not 1"),
    ],
)
def test_options_that_cannot_be_used_are_the_plugins_error(options, problem):
    with pytest.raises(PluginError) as caught:
        check_options_class(options, "cell 'wave'")
    assert str(caught.value).startswith(f"cell 'wave': {problem}")


@pytest.mark.parametrize(("kind", "default"), [(int, "5"), (float, "0.5"), (bool, "no"), (str, 5)])
def test_a_default_must_be_of_the_declared_type_itself(kind, default):
    with pytest.raises(PluginError, match=r"^cell 'wave': default of option 'size' must be "):
        check_options_class(options_class(kind, default), "cell 'wave'")


def test_options_that_refuse_their_own_defaults_are_the_plugins_error():
    @dataclasses.dataclass(frozen=True)
    class Strict(Options):
        steps: int = option(0, "How many steps.")

    with pytest.raises(PluginError, match=r"options Strict cannot be made: steps must be at least 1, not 0"):
        check_options_class(Strict, "cell 'wave'")
