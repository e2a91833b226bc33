"""``seqlm plugins``"""

from __future__ import annotations

import json
from typing import Any

import click

from seqlm_core.command_line.notices import silence_broken_plugins
from seqlm_core.command_line.plugin_files import load_plugin_files, plugin_option
from seqlm_core.command_line.table import aligned


@click.command("plugins")
@plugin_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON, including the options of each plugin.")
def plugins_command(plugin_files: tuple[str, ...], as_json: bool) -> None:
    """List the installed cells, tokenizers and optimizers, and the broken plugins."""
    import seqlm_core as seqlm

    silence_broken_plugins()  # what is broken is part of the answer here
    load_plugin_files(plugin_files)
    plugins = seqlm.installed_plugins()
    if as_json:
        click.echo(json.dumps(_as_json(plugins), indent=2))
        return
    rows = [
        (registry.kind, entry.spec.name, entry.spec.summary, str(entry.source))
        for registry in plugins.registries
        for entry in registry
    ]
    header = ("KIND", "NAME", "SUMMARY", "FROM")
    for line in aligned([header, *rows]):
        click.echo(line)
    for broken in plugins.broken:
        click.echo(f"broken: {broken.name} from {broken.source}: {broken.cause}")
    for remark in plugins.remarks:
        click.echo(f"note: {remark.name} from {remark.source}: {remark.text}")


def _as_json(plugins: Any) -> dict[str, Any]:
    from seqlm_core.plugins.options import describe_options

    return {
        "plugins": [
            {
                "kind": registry.kind,
                "name": entry.spec.name,
                "summary": entry.spec.summary,
                "distribution": entry.source.distribution,
                "version": entry.source.version,
                "options": describe_options(entry.spec.options),
            }
            for registry in plugins.registries
            for entry in registry
        ],
        "broken": [
            {
                "name": broken.name,
                "distribution": broken.source.distribution,
                "version": broken.source.version,
                "cause": broken.cause,
            }
            for broken in plugins.broken
        ],
        "remarks": [
            {
                "name": remark.name,
                "distribution": remark.source.distribution,
                "version": remark.source.version,
                "text": remark.text,
            }
            for remark in plugins.remarks
        ],
    }
