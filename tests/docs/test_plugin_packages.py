"""The packages in docs/examples, and those that new-plugin writes, can be installed, pass their tests, and train.

The test uses a virtual environment of its own, so that nothing is installed into the one that runs the test. It takes
seqlm, and what seqlm needs, from there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
EXAMPLES = PROJECT / "docs" / "examples"
PLUGINS = {"seqlm-adamw": "optimizer:adamw", "seqlm-bpe": "tokenizer:bpe", "seqlm-qrnn": "cell:qrnn"}
# Releases of setuptools differ in whether they write the name of a distribution with "_" or "-".
GENERATED = {"seqlm-my-cell": "cell:my-cell", "seqlm-cuts": "tokenizer:cuts", "seqlm-walk[-_]2": "optimizer:walk_2"}
FOLDERS = ["seqlm-" + plugin.partition(":")[2] for plugin in GENERATED.values()]
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "*.so", "build", "dist", "venv")
ENTRY = "from seqlm_entry import main\nmain()\n"
SIZES = ["--hidden-size", "8", "--batch-size", "4", "--sequence-length", "10", "--schedule", "constant", "--quiet"]


class Environment:
    """A virtual environment, and copies of the packages to install, so that nothing is built in the source folders."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in PLUGINS:
            shutil.copytree(EXAMPLES / name, folder / name, ignore=LEFT_OUT)
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True, env=self.variables)
        shared = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
        packages = self.run("python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
        Path(packages, "shared.pth").write_text(shared)
        self.install(*PLUGINS)
        (folder / "venv" / "bin" / "seqlm").write_text(f"#!{folder / 'venv' / 'bin' / 'python'}\n{ENTRY}")
        (folder / "venv" / "bin" / "seqlm").chmod(0o755)
        for plugin in GENERATED.values():
            kind, name = plugin.split(":")
            self.run("seqlm", "new-plugin", name, "--kind", kind)
        # An isolated build downloads what the package says it needs. One is enough, since all of them say the same.
        self.install(FOLDERS[0], isolated=True)
        self.install(*FOLDERS[1:])

    def install(self, *folders: str, isolated: bool = False) -> None:
        options = [] if isolated else ["--no-build-isolation"]
        self.run("pip", "install", "--disable-pip-version-check", *options, *[str(self.folder / f) for f in folders])

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables, except those that lead to other packages or plugins."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "SEQLM"))}
        return {**kept, "OMP_NUM_THREADS": "1"}

    def run(self, command: str, *arguments: str) -> str:
        """Run a command of the environment; return what it printed, and fail if it failed."""
        done = subprocess.run(
            [str(self.folder / "venv" / "bin" / command), *arguments],
            cwd=self.folder,
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, f"{command} {' '.join(arguments)} exits with {done.returncode}:\n{done.stdout}"
        return done.stdout


def test_every_package_is_tried_here():
    packages = [path.parent.name for path in EXAMPLES.glob("*/pyproject.toml")]
    assert sorted(packages) == sorted([*PLUGINS, "mxnet-cuda"])  # which holds no plugin and needs CUDA


def test_the_packages_install_pass_their_tests_and_checks_and_train(tmp_path, sample_text):
    environment = Environment(tmp_path)
    listed = environment.run("seqlm", "plugins")
    assert "broken" not in listed
    for distribution, plugin in {**PLUGINS, **GENERATED}.items():
        kind, name = plugin.split(":")
        assert re.search(rf"^{kind} +{name} .* {distribution} [\d.]+$", listed, re.MULTILINE), listed

    environment.run("python", "-m", "pytest", "-q", *PLUGINS, *FOLDERS)
    # The tests of each package check its plugin, and the command checks those of packages in the same way.
    checked = environment.run("seqlm", "check", PLUGINS["seqlm-bpe"], GENERATED["seqlm-cuts"])
    for distribution in ("seqlm-bpe", "seqlm-cuts"):
        plugin = {**PLUGINS, **GENERATED}[distribution]
        assert re.search(rf"^{plugin} of {distribution} [\d.]+$", checked, re.MULTILINE), checked

    (tmp_path / "book.txt").write_text(sample_text.read_text()[:6000])
    chosen = [word for plugin in PLUGINS.values() for word in ("--{} {}".format(*plugin.split(":"))).split()]
    environment.run("seqlm", "train", "book.txt", *chosen, *SIZES, "--epochs", "1", "--out", "run")
    before = (tmp_path / "run" / "last.safetensors").read_bytes()
    environment.run("seqlm", "train", "--resume", "run", "--epochs", "3", "--quiet")
    assert (tmp_path / "run" / "last.safetensors").read_bytes() != before
    assert environment.run("seqlm", "sample", "run", "--length", "20", "--seed", "1")
    environment.run("seqlm", "evaluate", "run", "book.txt")
