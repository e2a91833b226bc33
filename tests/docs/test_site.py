"""The documentation site is built without warnings and without a network, is complete, and its links lead somewhere."""

from __future__ import annotations

import dataclasses
import inspect
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import click
import pytest
from site_pages import dead_links, entries, remote_links, remote_resources

import seqlm_core as seqlm
from seqlm_core.command_line.main import cli

PROJECT = Path(__file__).resolve().parents[2]
DOCS = PROJECT / "docs"
OF_THE_THEME = {"https://www.sphinx-doc.org/", "https://pradyunsg.me", "https://github.com/pradyunsg/furo"}
"""The footer says what made the site."""


def build_command():
    """Return the command that the README names, as a list of words."""
    (command,) = re.findall(r"^sphinx-build .*$", (PROJECT / "README.md").read_text(), re.MULTILINE)
    return command.split()


def options(group, name="seqlm"):
    """Yield the entry of each option of a group's commands, in the words of Sphinx."""
    for command_name, command in group.commands.items():
        called = f"{name}-{command_name}"
        with click.Context(command) as context:
            for parameter in command.get_params(context):
                if isinstance(parameter, click.Option):
                    yield from (f"std:cmdoption {called}.{option}" for option in parameter.opts)
        if isinstance(command, click.Group):
            yield from options(command, called)


def members(name):
    """Yield the names of the public members of a public class, with those that it has of other classes of ours."""
    kind = getattr(seqlm, name)
    if not inspect.isclass(kind):
        return
    for owner in kind.__mro__:
        if owner.__module__.startswith("seqlm_core"):
            for member, value in vars(owner).items():
                is_own = inspect.isroutine(value) or isinstance(value, property) or hasattr(value, "attrname")
                if is_own and not member.startswith("_"):
                    yield member
    if name.endswith("Settings"):
        yield from (field.name for field in dataclasses.fields(kind))


# One test, since a build takes some seconds.
def test_the_site_is_built_and_complete(tmp_path):
    words = build_command()
    assert words[0] == "sphinx-build"
    assert words[-1] == "docs/_build/html"
    done = subprocess.run(
        [Path(sys.executable).with_name(words[0]), *words[1:-1], "-d", tmp_path / "doctrees", tmp_path / "html"],
        cwd=PROJECT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "-W" in words
    site = tmp_path / "html"

    assert dead_links(site) == []
    assert remote_resources(site) == []
    assert remote_links(site) <= OF_THE_THEME

    for path in DOCS.glob("*.md"):
        assert (site / path.with_suffix(".html").name).exists(), path
    found = entries(site)
    names = {entry.partition(" ")[2] for entry in found if entry.startswith("py:")}
    for name in seqlm.__all__:
        assert f"seqlm_core.{name}" in names, name
        for member in members(name):
            assert f"seqlm_core.{name}.{member}" in names, f"{name}.{member}"
    assert found >= set(options(cli))
    assert {f"seqlm_core.plugins.hookspecs.seqlm_{kind}" for kind in ("cells", "tokenizers", "optimizers")} <= names

    texts = {name: (site / "reference" / f"{name}.html").read_text() for name in ("python", "commands")}
    for text in texts.values():
        assert "Share of the predictions for which a bidirectional model is trained without the text" in text
    assert texts["commands"].index("Text options") < texts["commands"].index("Advanced options")


@pytest.mark.parametrize(
    ("text", "dead"),
    [
        ('<a href="other.html">', True),
        ('<a href="index.html#nowhere">', True),
        ('<a href="#nowhere">', True),
        ('<img src="picture.png">', True),
        ('<a href="index.html#here">', False),
        ('<a href="#here">', False),
        ('<a href="https://elsewhere.example/other.html">', False),
    ],
)
def test_dead_links_are_noticed(tmp_path, text, dead):
    (tmp_path / "index.html").write_text(f'<h1 id="here">Title</h1>{text}')
    assert bool(dead_links(tmp_path)) is dead


@pytest.mark.parametrize(
    ("name", "text", "remote"),
    [
        ("page.html", '<script src="https://elsewhere.example/a.js"></script>', True),
        ("page.html", '<script src="//elsewhere.example/a.js"></script>', True),
        ("page.html", '<link rel="stylesheet" href="https://elsewhere.example/a.css">', True),
        ("page.html", '<p style="background: url(https://elsewhere.example/a.png)">', True),
        ("a.css", "@import 'https://elsewhere.example/a.css';", True),
        ("a.css", "p { src: url(//elsewhere.example/a.woff) }", True),
        ("page.html", '<script src="a.js"></script><a href="https://elsewhere.example">', False),
        ("a.css", "p { background: url('data:image/svg+xml,<svg xmlns=\"http://www.w3.org/2000/svg\">') }", False),
    ],
)
def test_what_is_loaded_from_elsewhere_is_noticed(tmp_path, name, text, remote):
    (tmp_path / name).write_text(text)
    assert bool(remote_resources(tmp_path)) is remote


def test_what_is_built_is_ignored_by_git_and_left_out_of_the_source_distribution(tmp_path):
    if (PROJECT / ".git").exists():
        subprocess.run(["git", "check-ignore", "-q", "docs/_build/html"], cwd=PROJECT, check=True)
    source = tmp_path / "source"
    left_out = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "*.so", "build", "tests", "models", "_build")
    shutil.copytree(PROJECT, source, ignore=left_out)
    built = source / "docs" / "_build" / "html"
    built.mkdir(parents=True)
    (built / "index.html").write_text("built")
    subprocess.run([sys.executable, "setup.py", "-q", "sdist", "-d", tmp_path], cwd=source, check=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as files:
        names = files.getnames()
    assert any(name.endswith("/pyproject.toml") for name in names)
    assert not [name for name in names if "_build" in name]
