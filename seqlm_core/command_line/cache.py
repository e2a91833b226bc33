"""``seqlm cache``"""

from __future__ import annotations

import datetime
import json

import click

GIGABYTE, MEGABYTE, KILOBYTE = 1e9, 1e6, 1e3


@click.command("cache")
@click.option("--clear", is_flag=True, help="Remove all of them.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def cache_command(clear: bool, as_json: bool) -> None:
    """List the prepared texts that are kept for later trainings.

    A text of a million bytes or more is cut into tokens once, and what is made of it is kept in a folder of the user's
    caches. Texts are told apart by their content, not by their names.
    """
    import seqlm_core as seqlm

    cache = seqlm.text_cache()
    if clear:
        freed = cache.clear()
        click.echo(json.dumps({"freed": freed}) if as_json else f"freed {in_bytes(freed)}")
        return
    entries = cache.entries()
    if as_json:
        kept = [
            {
                "texts": entry.description["texts"],
                "tokenizer": entry.description["tokenizer"],
                "bytes": entry.size,
                "used": datetime.datetime.fromtimestamp(entry.used, datetime.timezone.utc).isoformat(),
                "path": str(entry.path),
            }
            for entry in entries
        ]
        click.echo(json.dumps({"folder": str(cache.folder), "limit": cache.limit, "texts": kept}, indent=2))
        return
    for entry in entries:
        first, *others = entry.description["texts"]
        more = f" and {len(others):,} more" if others else ""
        used = datetime.datetime.fromtimestamp(entry.used).strftime("%Y-%m-%d %H:%M")
        click.echo(f"{in_bytes(entry.size):>9}  {used}  {entry.description['tokenizer']:8}  {first}{more}")
    total = in_bytes(sum(entry.size for entry in entries))
    click.echo(f"{total} of at most {in_bytes(cache.limit)}, in {cache.folder}")


def in_bytes(size: float) -> str:
    """Return a number of bytes in words."""
    for unit, name in ((GIGABYTE, "GB"), (MEGABYTE, "MB"), (KILOBYTE, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size:.0f} bytes"
