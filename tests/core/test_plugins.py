"""Plugin loading, tried on distributions that are really there: packages with metadata in a folder on the path."""

import importlib.metadata
import logging
import sys
from types import SimpleNamespace

import pytest
from conftest import SMALL

import seqlm_core as seqlm
from seqlm_core.plugins.loading import Plugins, find_entry_points, installed_plugins
from seqlm_core.plugins.registry import Source

BUILT_INS = {"rnn", "gru", "lstm", "birnn", "bigru", "bilstm", "char", "word", "space", "sgd", "rmsprop", "adam"}

HEAD = """
import seqlm_core as seqlm

def cell(name, summary="a cell", build=print, **more):
    return seqlm.CellSpec(name, summary, build, **more)
"""


def returns(expression, hook="seqlm_cells()"):
    return f"{HEAD}\n@seqlm.hookimpl\ndef {hook}:\n    return {expression}\n"


@pytest.fixture
def environment(tmp_path, monkeypatch, caplog):
    modules = []

    def install(name, source, version="1.0", entry_point="plug", attribute="", requires=None):
        folder = tmp_path / name
        module = f"fake_{len(modules)}_{tmp_path.name}"
        modules.append(module)
        info = folder / f"{name}-{version}.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (folder / f"{module}.py").write_text(source)
        needs = f"Requires-Dist: {requires}\n" if requires else ""
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        listing = info / "entry_points.txt"
        before = listing.read_text() if listing.exists() else "[seqlm]\n"
        listing.write_text(f"{before}{entry_point} = {module}{attribute}\n")
        # The one installed last comes first on the path, and so is loaded first.
        monkeypatch.syspath_prepend(folder)

    logger = logging.getLogger("seqlm")
    monkeypatch.setattr(logger, "propagate", True)
    monkeypatch.setattr(logger, "handlers", [])
    caplog.set_level(logging.WARNING, "seqlm")
    monkeypatch.delenv("SEQLM_PLUGINS", raising=False)
    yield SimpleNamespace(install=install, folder=tmp_path)
    for module in modules:
        sys.modules.pop(module, None)


def load():
    plugins = Plugins()
    plugins.load(find_entry_points(plugins))
    return plugins


def usable(plugins, built_in=False):
    return {e.spec.name for registry in plugins.registries for e in registry if e.source.built_in == built_in}


def test_built_ins_come_first_and_all_load(environment, caplog):
    environment.install("wave-plug", returns("cell('wave')"))
    assert [source.built_in for _, source in find_entry_points(Plugins())][:13] == [True] * 12 + [False]
    plugins = load()
    assert usable(plugins, built_in=True) == BUILT_INS
    assert plugins.broken == []
    assert caplog.messages == []


def test_a_strangers_cell_is_found_with_its_distribution_and_version(environment):
    environment.install("wave-plug", returns("cell('wave', 'rolls on')"), version="3.1.4")
    entry = load().cells.entry("wave")
    spec, source = entry.spec, entry.source
    assert spec.summary == "rolls on"
    assert source == Source("wave-plug", "3.1.4", built_in=False)


def test_one_hook_may_return_several_records(environment):
    environment.install("sea-plug", returns("[cell('wave'), cell('tide')]"))
    assert usable(load()) == {"wave", "tide"}


FAULTS = {
    "raises at import": ("raise ImportError('no such library')", "ImportError: no such library"),
    "exits at import": ("import sys; sys.exit('enough')", "SystemExit: enough"),
    "is no Python": ("def", "SyntaxError: invalid syntax"),
    "raises in the hook": (returns("1 / 0"), "ZeroDivisionError: division by zero"),
    "raises ValueError in the hook": (returns("int('x')"), "invalid literal for int() with base 10: 'x'"),
    "wrong type": (returns("'wave'"), "hook seqlm_cells must return CellSpec or several of them, not str"),
    "a dict": (
        returns("{'wave': cell('wave')}"),
        "hook seqlm_cells must return CellSpec or several of them, not a dict; return a list of its values",
    ),
    "a hook that is not marked": (
        HEAD + "def seqlm_cells():\n    return cell('wave')\n",
        "its function seqlm_cells is not marked as a hook: put @seqlm_core.hookimpl above it",
    ),
    "wrong type in a list": (
        returns("[cell('wave'), 5]"),
        "hook seqlm_cells must return CellSpec or several of them, not int",
    ),
    "wrong kind": (
        returns("cell('wave')", "seqlm_tokenizers()"),
        "hook seqlm_tokenizers must return TokenizerSpec or several of them, not CellSpec",
    ),
    "returns None": (returns("None"), "registers no cell, tokenizer or optimizer"),
    "returns nothing": (returns("[]"), "registers no cell, tokenizer or optimizer"),
    "has no hook": (HEAD, "registers no cell, tokenizer or optimizer"),
    "name": (
        returns("[cell('fine'), cell('My Cell')]"),
        "cell name 'My Cell' is not made of lower-case letters, digits, '-' and '_'",
    ),
    "no name": (returns("cell(None)"), "cell name None is not made of"),
    "two-line summary": (
        returns("cell('wave', 'a\\nb')"),
        "cell 'wave': summary must be one line of text, not 'a\\nb'",
    ),
    "blank summary": (returns("cell('wave', ' ')"), "cell 'wave': summary must be one line of text, not ' '"),
    "build": (returns("cell('wave', build=5)"), "cell 'wave': build must be callable, not 5"),
    "options": (returns("cell('wave', options=dict)"), "cell 'wave': options must be a dataclass, not <class 'dict'>"),
    "direction": (returns("cell('wave', bidirectional=1)"), "cell 'wave': bidirectional must be True or False"),
    "step": (returns("cell('wave', step=1)"), "cell 'wave': step must be callable or None, not 1"),
    "penalty": (
        returns("cell('wave', default_activation_penalty=-1)"),
        "cell 'wave': default_activation_penalty must be a finite number of at least 0",
    ),
    "minimum": (
        returns("seqlm.TokenizerSpec('cut', 'cuts', print, default_min_count=0)", "seqlm_tokenizers()"),
        "tokenizer 'cut': default_min_count must be a whole number of at least 1",
    ),
    "rate": (
        returns("seqlm.OptimizerSpec('walk', 'walks', print, default_learning_rate=0)", "seqlm_optimizers()"),
        "optimizer 'walk': default_learning_rate must be a finite number above 0",
    ),
    "unknown hook": (
        returns("cell('wave')", "seqlm_cell()"),
        "there is no hook seqlm_cell (did you mean seqlm_cells?); the hooks are seqlm_cells, seqlm_tokenizers, "
        "seqlm_optimizers",
    ),
    "arguments of a hook": (returns("cell('wave')", "seqlm_cells(size)"), "Argument(s) {'size'} are declared in"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_plugin_is_skipped_with_a_warning_and_harms_nobody(environment, caplog, fault):
    source, cause = FAULTS[fault]
    environment.install("good-plug", returns("cell('neighbour')"))
    environment.install("bad-plug", source, version="2.5", entry_point="bad")
    plugins = load()
    assert [(broken.name, broken.source) for broken in plugins.broken] == [("bad", Source("bad-plug", "2.5"))]
    assert cause in plugins.broken[0].cause
    assert caplog.messages == ["1 plugin is broken and skipped: bad of bad-plug 2.5; 'seqlm plugins' tells why"]
    assert usable(plugins) == {"neighbour"}
    assert usable(plugins, built_in=True) == BUILT_INS


def test_a_plugin_that_is_no_module_but_a_list_harms_nobody(environment):
    environment.install("good-plug", returns("cell('neighbour')"))
    environment.install("bad-plug", "PLUGIN = []", attribute=":PLUGIN")
    plugins = load()
    assert [broken.source.distribution for broken in plugins.broken] == ["bad-plug"]
    assert usable(plugins) == {"neighbour"}


def test_a_distribution_with_spoilt_metadata_harms_nobody(environment):
    environment.install("good-plug", returns("cell('neighbour')"))
    environment.install("bad-plug", HEAD, entry_point="no equals sign\nbad")
    assert usable(load()) >= {"neighbour"}


def test_what_a_plugin_prints_does_not_reach_standard_output_and_is_remarked_on(environment, capsys):
    environment.install("loud-plug", "print('at import')" + returns("print('in the hook') or cell('wave')"))
    plugins = load()
    assert usable(plugins) == {"wave"}
    assert plugins.remarks == [("plug", Source("loud-plug", "1.0"), "prints when it is loaded: at import")]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "at import\nin the hook\n"


def test_a_plugin_that_is_slow_to_load_is_remarked_on(environment, monkeypatch):
    monkeypatch.setattr("seqlm_core.plugins.loading.SLOW_SECONDS", 0.05)
    environment.install("slow-plug", "import time; time.sleep(0.1)" + returns("cell('wave')"))
    plugins = load()
    (remark,) = plugins.remarks
    assert remark.source.distribution == "slow-plug"
    assert remark.text == "takes 0.1 s to load"
    assert usable(plugins) == {"wave"}


@pytest.mark.parametrize(
    ("requirement", "fits"),
    [
        ("seqlm", True),
        (f"seqlm>={seqlm.__version__}", True),
        ("seqlm>=99", False),
        ("SeqLM[test]<0.0.1; python_version > '3'", False),
        ("seqlm>=99; python_version < '3'", True),
        ("seqlm>=99; extra == 'new'", True),
        ("other>=99", True),
    ],
)
def test_a_plugin_for_another_version_of_seqlm_is_skipped(environment, requirement, fits):
    environment.install("new-plug", returns("cell('wave')"), requires=requirement)
    plugins = load()
    assert usable(plugins) == ({"wave"} if fits else set())
    causes = [broken.cause for broken in plugins.broken]
    assert len(causes) == (not fits)
    assert all(cause.startswith("requires seqlm ") and seqlm.__version__ in cause for cause in causes)


def test_a_built_in_keeps_its_name_and_the_stranger_is_listed_as_broken(environment, caplog):
    environment.install("bold-plug", returns("[cell('lstm', 'a better one'), cell('wave')]"))
    plugins = load()
    assert plugins.cells.entry("lstm").source.built_in
    (broken,) = plugins.broken
    version = importlib.metadata.version("seqlm")
    assert broken == (
        "lstm",
        Source("bold-plug", "1.0"),
        f"cell 'lstm' is offered by seqlm {version} and bold-plug 1.0; the built-in keeps the name",
    )
    assert caplog.messages == ["1 plugin is broken and skipped: lstm of bold-plug 1.0; 'seqlm plugins' tells why"]
    assert usable(plugins) == {"wave"}


def test_a_name_offered_by_two_strangers_belongs_to_neither(environment, caplog):
    environment.install("sea-plug", returns("[cell('wave'), cell('tide')]"))
    environment.install("air-plug", returns("[cell('wave'), cell('wind')]"), version="2.0")
    plugins = load()
    with pytest.raises(seqlm.UnknownNameError, match=r"'wave' is offered by air-plug 2.0 and sea-plug 1.0; it is not"):
        plugins.cells.get("wave")
    assert {(b.name, str(b.source)) for b in plugins.broken} == {("wave", "sea-plug 1.0"), ("wave", "air-plug 2.0")}
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("2 plugins are broken and skipped: wave of ")
    assert usable(plugins) == {"tide", "wind"}
    assert usable(plugins, built_in=True) == BUILT_INS


def test_a_name_may_serve_for_a_cell_and_a_tokenizer(environment):
    environment.install("sea-plug", returns("cell('wave')"))
    environment.install(
        "air-plug", returns("seqlm.TokenizerSpec('wave', 'waves', print)", "seqlm_tokenizers()"), entry_point="waves"
    )
    plugins = load()
    assert plugins.broken == []
    assert "wave" in plugins.cells.names()
    assert "wave" in plugins.tokenizers.names()


def test_a_second_entry_point_of_a_distribution_may_not_offer_a_name_again(environment):
    environment.install("sea-plug", returns("cell('wave', 'first')"), entry_point="first")
    environment.install("sea-plug", returns("cell('wave', 'second')"), entry_point="second")
    plugins = load()
    assert plugins.broken == [("second", Source("sea-plug", "1.0"), "offers cell 'wave' twice")]
    assert plugins.cells.get("wave").summary == "first"


def test_nothing_is_registered_of_a_plugin_that_offers_a_name_twice(environment):
    environment.install("sea-plug", returns("[cell('tide'), cell('wave'), cell('wave', 'again')]"))
    plugins = load()
    assert [broken.cause for broken in plugins.broken] == ["offers cell 'wave' twice"]
    assert usable(plugins) == set()


@pytest.mark.parametrize(
    ("selection", "names"),
    [
        (None, {"wave", "wind"}),
        ("", set()),
        (" , ", set()),
        ("sea-plug", {"wave"}),
        ("my-plug-in", {"wind"}),
        ("My_Plug.in , SEA_plug", {"wave", "wind"}),
    ],
)
def test_seqlm_plugins_selects_the_strangers_and_keeps_the_built_ins(
    environment, monkeypatch, caplog, selection, names
):
    environment.install("sea-plug", returns("cell('wave')"))
    environment.install("My_Plug.in", returns("cell('wind')"))
    if selection is not None:
        monkeypatch.setenv("SEQLM_PLUGINS", selection)
    plugins = load()
    assert usable(plugins) == names
    assert caplog.messages == []
    assert usable(plugins, built_in=True) == BUILT_INS


def test_what_is_not_selected_is_not_even_imported(environment, monkeypatch):
    environment.install("bad-plug", "raise RuntimeError")
    monkeypatch.setenv("SEQLM_PLUGINS", "")
    assert load().broken == []


def test_leaving_one_stranger_out_gives_the_name_to_the_other(environment, monkeypatch):
    environment.install("sea-plug", returns("cell('wave')"))
    environment.install("air-plug", returns("cell('wave')"))
    monkeypatch.setenv("SEQLM_PLUGINS", "air-plug")
    assert load().cells.entry("wave").source.distribution == "air-plug"


def test_a_selected_distribution_that_is_not_installed_is_warned_about(environment, monkeypatch, caplog):
    environment.install("sea-plug", returns("cell('wave')"))
    monkeypatch.setenv("SEQLM_PLUGINS", "sea-plug,see-plug")
    load()
    assert caplog.messages == ["SEQLM_PLUGINS names 'see-plug', which is not installed"]


# A command that needs what is broken


@pytest.fixture
def fresh_plugins():
    installed_plugins.cache_clear()
    yield
    installed_plugins.cache_clear()


@pytest.mark.parametrize(("distribution", "entry_point"), [("sea-plug", "wave"), ("seqlm-wave", "plug"), ("wave", "x")])
def test_asking_for_what_a_broken_plugin_would_have_brought_tells_the_whole_reason(
    environment, distribution, entry_point
):
    environment.install("bad-plug", "raise ImportError('another')", entry_point="other")
    environment.install(distribution, "raise ImportError('no such library')", entry_point=entry_point)
    with pytest.raises(seqlm.UnknownNameError) as caught:
        load().cells.get("wave")
    assert str(caught.value) == (
        f"no cell 'wave', since the plugin '{entry_point}' of {distribution} 1.0 is broken: "
        "ImportError: no such library"
    )


def test_a_broken_plugin_is_not_blamed_for_a_name_that_it_does_not_have(environment):
    environment.install("bad-plug", "raise ImportError('no such library')", entry_point="tide")
    with pytest.raises(seqlm.UnknownNameError, match=r"^no cell 'wave'; there are: "):
        load().cells.get("wave")


LAYER = """
import seqlm_core as seqlm

def build(input_size, hidden_size, options):
    from seqlm_core.model.recurrent_layer import RecurrentLayer

    return RecurrentLayer("FORMULA", input_size, hidden_size)

@seqlm.hookimpl
def seqlm_cells():
    return seqlm.CellSpec("wave", "of DISTRIBUTION", build)
"""


def install_wave(environment, distribution, formula="rnn_tanh"):
    environment.install(distribution, LAYER.replace("FORMULA", formula).replace("DISTRIBUTION", distribution))
    installed_plugins.cache_clear()


@pytest.fixture
def run_of_sea_plug(environment, fresh_plugins, short_text, tmp_path):
    """A run whose cell another distribution offers too, by the time that it is opened."""
    install_wave(environment, "sea-plug")
    sizes = {**SMALL, "max_steps": 2, "warmup": 0, "schedule": "constant", "tie_weights": False}
    run = seqlm.train(short_text, cell="wave", out=tmp_path / "run", quiet=True, **sizes)
    install_wave(environment, "air-plug", "gru")
    return run


def test_a_name_clash_does_not_take_the_cell_away_from_a_run(run_of_sea_plug, short_text, tmp_path, caplog):
    caplog.clear()
    run = seqlm.LanguageRun(run_of_sea_plug.path)
    assert run.cell.spec.summary == "of sea-plug"
    assert run.sample(length=5, seed=1) == run_of_sea_plug.sample(length=5, seed=1)
    assert seqlm.resume(run.path, quiet=True, max_steps=3).history()[-1]["step"] == 3
    assert run.components.cell.source.distribution == "sea-plug"
    further = seqlm.train(short_text, init_from=run.path, out=tmp_path / "further", quiet=True, max_steps=1)
    assert further.config["plugins"]["cell"]["distribution"] == "sea-plug"
    assert [message for message in caplog.messages if "sea-plug" in message] == [
        "2 plugins are broken and skipped: wave of air-plug 1.0, wave of sea-plug 1.0; 'seqlm plugins' tells why"
    ]


def test_a_new_training_with_a_disputed_name_is_an_error_that_names_both(run_of_sea_plug, short_text):
    with pytest.raises(
        seqlm.UnknownNameError, match=r"'wave' is offered by air-plug 1\.0 and sea-plug 1\.0; it is not"
    ):
        seqlm.train(short_text, cell="wave", quiet=True)


def test_a_run_whose_plugin_is_broken_by_now_tells_the_whole_reason(run_of_sea_plug, environment):
    listing = environment.folder / "sea-plug" / "sea-plug-1.0.dist-info" / "entry_points.txt"
    listing.write_text("[seqlm]\nplug = no_such_module_here\n")
    installed_plugins.cache_clear()
    with pytest.raises(seqlm.RunError) as caught:
        seqlm.LanguageRun(run_of_sea_plug.path)
    assert str(caught.value) == (
        "the run uses cell 'wave' of sea-plug 1.0, and the plugin 'plug' of sea-plug 1.0 is broken: "
        "ModuleNotFoundError: No module named 'no_such_module_here'"
    )
