"""``seqlm check``"""

from __future__ import annotations

import contextlib
import sys

import click

from seqlm_core.command_line.assignments import parse_assignments
from seqlm_core.command_line.notices import be_quiet
from seqlm_core.command_line.plugin_files import load_plugin_files, plugin_option
from seqlm_core.errors import SeqlmError, UsageError


@click.command("check")
@click.argument("plugins", metavar="[KIND:NAME]...", nargs=-1)
@click.option(
    "--option", "options", metavar="NAME=VALUE", multiple=True,
    help="Option of the plugin; only if a single plugin is checked. May be given several times.",
)  # fmt: skip
@plugin_option
def check_command(plugins: tuple[str, ...], options: tuple[str, ...], plugin_files: tuple[str, ...]) -> None:
    """Check that plugins do what cells, tokenizers and optimizers have to do.

    KIND is cell, tokenizer or optimizer, and NAME is the name of the plugin. Without KIND:NAME the command checks the
    plugins in the files of --plugin; without --plugin, it checks all plugins that are not part of seqlm.
    """
    import seqlm_core as seqlm
    from seqlm_core.conformance.kinds import check_plugin, parse_plugin

    be_quiet()  # of the trainings only what is wrong is shown, and what is broken is part of the answer
    files = load_plugin_files(plugin_files)
    installed = seqlm.installed_plugins()
    chosen = [parse_plugin(plugin) for plugin in plugins] or [
        (registry.kind, entry.spec.name)
        for registry in installed.registries
        for entry in registry
        if (entry.source in files if files else not entry.source.built_in)
    ]
    if options and len(chosen) != 1:
        raise UsageError("--option is for a single plugin; name it as KIND:NAME")
    given = parse_assignments(options, "--option")
    if not chosen and not installed.broken:
        click.echo("there are no plugins but those that come with seqlm; name one to check it, such as cell:lstm")
        return
    failed = 0
    # All names are looked up before the first check, which takes seconds.
    outcomes = [(kind, name, check_plugin(kind, name, given)) for kind, name in chosen]
    for kind, name, outcomes_of_plugin in outcomes:
        registry = next(registry for registry in installed.registries if registry.kind == kind)
        click.echo(f"{kind}:{name} of {registry.entry(name).source}")
        result = sys.stdout
        with contextlib.redirect_stdout(sys.stderr):  # where what a plugin prints goes
            for outcome in outcomes_of_plugin:
                click.echo(str(outcome), file=result)
                failed += not outcome.passed
    broken = [] if plugins or files else installed.broken
    for plugin in broken:
        click.echo(f"{plugin.name} of {plugin.source} is broken: {plugin.cause}")
    if failed or broken:
        raise SeqlmError(f"{failed} checks failed" + (f", and {len(broken)} plugins are broken" if broken else ""))
