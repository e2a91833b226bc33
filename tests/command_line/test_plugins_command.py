"""``seqlm plugins``: what is listed, and that what is broken is shown without failing."""

import json
import logging
import sys

import pytest

from seqlm_core.command_line.main import main
from seqlm_core.plugins.loading import installed_plugins
from seqlm_core.version import __version__

BUILT_INS = {
    *(("cell", name) for name in ("rnn", "gru", "lstm", "birnn", "bigru", "bilstm")),
    *(("tokenizer", name) for name in ("char", "space", "word")),
    *(("optimizer", name) for name in ("sgd", "rmsprop", "adam")),
}
GOOD = """
import seqlm_core as seqlm

@seqlm.hookimpl
def seqlm_cells():
    return [seqlm.CellSpec("wave", "rolls on", print), seqlm.CellSpec("lstm", "a better one", print)]
"""


@pytest.fixture(autouse=True)
def untouched_environment(monkeypatch):
    monkeypatch.delenv("SEQLM_PLUGINS", raising=False)
    logger = logging.getLogger("seqlm")
    handlers, level, propagate = logger.handlers, logger.level, logger.propagate
    installed_plugins.cache_clear()
    yield
    installed_plugins.cache_clear()
    logger.handlers, logger.propagate = handlers, propagate
    logger.setLevel(level)


@pytest.fixture
def strangers(tmp_path, monkeypatch):
    modules = []
    for name, source in {"sea-plug": GOOD, "bad-plug": "raise ImportError('no such library')"}.items():
        module = f"fake_{name.replace('-', '_')}_for_the_command"
        modules.append(module)
        folder = tmp_path / name
        info = folder / f"{name}-2.5.dist-info"
        info.mkdir(parents=True)
        (folder / f"{module}.py").write_text(source)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.5\n")
        (info / "entry_points.txt").write_text(f"[seqlm]\nplug = {module}\n")
        monkeypatch.syspath_prepend(folder)
    yield
    for module in modules:
        sys.modules.pop(module, None)


@pytest.fixture
def seqlm(capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as caught:
            main(list(arguments))
        assert caught.value.code == 0
        return capsys.readouterr()

    return run


def test_the_table_has_a_line_for_each_of_the_twelve(seqlm):
    header, *rows = seqlm("plugins").out.splitlines()
    assert header.split() == ["KIND", "NAME", "SUMMARY", "FROM"]
    assert {tuple(row.split()[:2]) for row in rows if row.endswith(f"  seqlm {__version__}")} == BUILT_INS


def test_the_columns_of_the_table_stand_below_their_heads(seqlm):
    header, *rows = seqlm("plugins").out.splitlines()
    for title in ("NAME", "SUMMARY", "FROM"):
        column = header.index(title)
        assert {row[column - 1] for row in rows} == {" "}
        assert " " not in {row[column] for row in rows}


def test_json_has_what_the_table_has_and_the_options(seqlm):
    listed = json.loads(seqlm("plugins", "--json").out)
    built_in = [plugin for plugin in listed["plugins"] if plugin["distribution"] == "seqlm"]
    assert {(plugin["kind"], plugin["name"]) for plugin in built_in} == BUILT_INS
    assert len(built_in) == 12
    for plugin in built_in:
        assert set(plugin) == {"kind", "name", "summary", "distribution", "version", "options"}
        assert plugin["version"] == __version__
        assert plugin["summary"]
    (adam,) = (plugin for plugin in built_in if plugin["name"] == "adam")
    first_option = {**adam["options"][0], "help": ""}
    assert first_option == {"name": "beta1", "type": "float", "default": 0.9, "help": ""}
    assert listed["broken"] == []


def test_a_strangers_plugin_is_listed_with_its_distribution(seqlm, strangers):
    rows = [" ".join(row.split()) for row in seqlm("plugins").out.splitlines()]
    assert "cell wave rolls on sea-plug 2.5" in rows


def test_what_is_broken_is_shown_with_its_cause_and_the_rest_stays(seqlm, strangers):
    captured = seqlm("plugins")
    rows = captured.out.splitlines()
    assert "broken: plug from bad-plug 2.5: ImportError: no such library" in rows
    assert (
        f"broken: lstm from sea-plug 2.5: cell 'lstm' is offered by seqlm {__version__} and sea-plug 2.5; "
        "the built-in keeps the name"
    ) in rows
    assert {tuple(row.split()[:2]) for row in rows} > BUILT_INS
    assert captured.err == ""


def test_json_tells_what_is_broken_apart_from_what_works(seqlm, strangers):
    listed = json.loads(seqlm("plugins", "--json").out)
    assert {
        "name": "plug",
        "distribution": "bad-plug",
        "version": "2.5",
        "cause": "ImportError: no such library",
    } in listed["broken"]
    assert {(broken["distribution"], broken["name"]) for broken in listed["broken"]} == {
        ("bad-plug", "plug"),
        ("sea-plug", "lstm"),
    }
    assert {plugin["name"] for plugin in listed["plugins"] if plugin["distribution"] == "sea-plug"} == {"wave"}


def test_seqlm_plugins_leaves_strangers_out_of_the_list(seqlm, strangers, monkeypatch):
    monkeypatch.setenv("SEQLM_PLUGINS", "")
    out = seqlm("plugins").out
    assert "sea-plug" not in out
    assert "bad-plug" not in out


def test_a_selected_distribution_that_is_not_installed_is_warned_about(seqlm, monkeypatch):
    monkeypatch.setenv("SEQLM_PLUGINS", "no-such-plug")
    assert seqlm("plugins").err == "seqlm: warning: SEQLM_PLUGINS names 'no-such-plug', which is not installed\n"


def test_another_command_tells_in_one_line_which_plugins_are_broken(seqlm, strangers, tmp_path):
    (tmp_path / "text.txt").write_text("the cat sat on the mat. " * 40)
    sizes = ["--max-steps", "1", "--hidden-size", "4", "--batch-size", "4", "--sequence-length", "5", "--warmup", "0"]
    train = ["train", str(tmp_path / "text.txt"), *sizes]
    err = seqlm(*train, "--out", str(tmp_path / "loud")).err
    assert [line for line in err.splitlines() if "plug" in line] == [
        "seqlm: warning: 2 plugins are broken and skipped: plug of bad-plug 2.5, lstm of sea-plug 2.5; "
        "'seqlm plugins' tells why"
    ]
    installed_plugins.cache_clear()
    assert seqlm(*train, "--out", str(tmp_path / "quiet"), "--quiet").err == ""
