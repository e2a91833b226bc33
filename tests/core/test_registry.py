"""Registries: whose a name is, and what is said of names that are not there. Registering from a program."""

import itertools

import pytest

from seqlm_core.errors import PluginError, UnknownNameError, UsageError
from seqlm_core.plugins.hookspecs import hookimpl
from seqlm_core.plugins.loading import Plugins
from seqlm_core.plugins.registry import THIS_PROGRAM, Entry, Registry, Source
from seqlm_core.plugins.specs import CellSpec

BUILT_IN = Source("seqlm", "0.1.0", built_in=True)
ONE = Source("one-plug", "1.0")
TWO = Source("two-plug", "2.0")
THREE = Source("three-plug", "3.0")


def cell(name, summary="a cell"):
    return CellSpec(name, summary, print)


def registry_of(*offers):
    registry = Registry(CellSpec)
    for name, source in offers:
        registry.add(cell(name), source)
    return registry


def test_a_registered_name_gives_its_record_and_source():
    registry = Registry(CellSpec)
    spec = cell("spiral")
    registry.add(spec, ONE)
    assert registry.get("spiral") is spec
    assert registry.entry("spiral") == Entry(spec, ONE)
    assert registry.names() == ["spiral"]


def test_an_unknown_name_is_answered_with_the_nearest_and_the_valid_ones():
    registry = registry_of(("gru", BUILT_IN), ("lstm", BUILT_IN))
    with pytest.raises(UnknownNameError) as caught:
        registry.get("lstn")
    assert str(caught.value) == "no cell 'lstn' (did you mean 'lstm'?); there are: gru, lstm"
    assert isinstance(caught.value, UsageError)


def test_no_nearest_name_is_made_up():
    with pytest.raises(UnknownNameError) as caught:
        registry_of(("gru", BUILT_IN), ("lstm", BUILT_IN)).get("transformer-xl")
    assert str(caught.value) == "no cell 'transformer-xl'; there are: gru, lstm"


def test_a_name_in_capitals_is_unknown_but_its_small_letters_are_suggested():
    with pytest.raises(UnknownNameError, match=r"no cell 'LSTM' \(did you mean 'lstm'\?\)"):
        registry_of(("gru", BUILT_IN), ("lstm", BUILT_IN)).get("LSTM")


def test_built_ins_are_listed_first_and_otherwise_registration_decides_the_order():
    registry = registry_of(("wave", ONE), ("rnn", BUILT_IN), ("arc", TWO), ("gru", BUILT_IN))
    assert registry.names() == ["rnn", "gru", "wave", "arc"]
    assert [entry.source for entry in registry] == [BUILT_IN, BUILT_IN, ONE, TWO]


@pytest.mark.parametrize("sources", list(itertools.permutations([BUILT_IN, ONE, TWO])))
def test_a_built_in_keeps_its_name_whoever_comes_first(sources):
    registry = registry_of(*(("lstm", source) for source in sources))
    assert registry.entry("lstm").source == BUILT_IN
    assert registry.names() == ["lstm"]
    refused = registry.refused()
    assert {entry.source for entry, _ in refused} == {ONE, TWO}
    offered_by = " and ".join(str(source) for source in sources)
    assert {why for _, why in refused} == {f"cell 'lstm' is offered by {offered_by}; the built-in keeps the name"}


@pytest.mark.parametrize("sources", [(ONE, TWO), (TWO, ONE), (ONE, THIS_PROGRAM), (ONE, TWO, THREE)])
def test_a_name_offered_by_several_strangers_belongs_to_none(sources):
    registry = registry_of(*(("wave", source) for source in sources))
    with pytest.raises(UnknownNameError) as caught:
        registry.get("wave")
    message = str(caught.value)
    assert message.startswith(f"cell 'wave' is offered by {' and '.join(map(str, sources))}; it is not usable until")
    assert "uninstalled or left out of SEQLM_PLUGINS" in message
    assert [(entry.source, why) for entry, why in registry.refused()] == [(source, message) for source in sources]


def test_a_contested_name_is_neither_listed_nor_counted_nor_suggested():
    registry = registry_of(("wave", ONE), ("wave", TWO), ("arc", ONE), ("spiral", TWO))
    assert registry.names() == ["arc", "spiral"]
    assert len(registry) == 2
    with pytest.raises(UnknownNameError) as caught:
        registry.get("wawe")
    assert str(caught.value) == "no cell 'wawe'; there are: arc, spiral"


def test_the_other_names_of_contestants_stay_theirs():
    registry = registry_of(("wave", ONE), ("wave", TWO), ("arc", ONE), ("spiral", TWO))
    assert registry.entry("arc").source == ONE
    assert registry.entry("spiral").source == TWO


def test_nothing_is_refused_where_names_differ():
    assert registry_of(("wave", ONE), ("arc", TWO), ("lstm", BUILT_IN)).refused() == []


def test_one_distribution_may_not_offer_a_name_twice():
    registry = registry_of(("wave", ONE))
    with pytest.raises(PluginError, match=r"^offers cell 'wave' twice$"):
        registry.add(cell("wave", "another cell"), ONE)
    assert registry.get("wave").summary == "a cell"


def test_a_running_program_replaces_its_own_earlier_record():
    registry = Registry(CellSpec)
    registry.add(cell("wave", "first try"), THIS_PROGRAM)
    registry.add(cell("wave", "second try"), THIS_PROGRAM)
    assert registry.get("wave").summary == "second try"
    assert registry.refused() == []


def test_a_running_program_cannot_take_a_built_in_name():
    with pytest.raises(PluginError, match="cell 'lstm' is a built-in's name; choose another"):
        registry_of(("lstm", BUILT_IN), ("lstm", THIS_PROGRAM))


def test_a_source_reads_as_name_and_version():
    assert str(ONE) == "one-plug 1.0"
    assert str(THIS_PROGRAM) == "this program"


class Notebook:
    def __init__(self, *specs):
        self.specs = specs

    @hookimpl
    def seqlm_cells(self):
        return self.specs


def test_a_running_program_registers_a_cell_of_its_own():
    plugins = Plugins()
    plugins.register(Notebook(cell("wave")))
    assert plugins.cells.entry("wave") == Entry(cell("wave"), THIS_PROGRAM)


def test_registering_again_from_a_running_program_replaces_the_earlier_cell():
    plugins = Plugins()
    plugins.register(Notebook(cell("wave", "first try")))
    plugins.register(Notebook(cell("wave", "second try")))
    assert plugins.cells.get("wave").summary == "second try"
    assert plugins.broken == []


def test_registering_the_same_object_again_is_allowed():
    plugins = Plugins()
    notebook = Notebook(cell("wave", "first try"))
    plugins.register(notebook)
    notebook.specs = (cell("wave", "second try"),)
    plugins.register(notebook)
    assert plugins.cells.get("wave").summary == "second try"


@pytest.mark.parametrize("bad", [Notebook(cell("wave"), cell("Bad Name")), Notebook()])
def test_a_program_may_register_again_what_it_has_mended(bad):
    plugins = Plugins()
    with pytest.raises(PluginError):
        plugins.register(bad)
    assert len(plugins.cells) == 0
    plugins.register(Notebook(cell("wave")))
    assert plugins.cells.names() == ["wave"]
