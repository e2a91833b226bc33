"""The kinds of lines that displays are made of, for rich to print."""

from __future__ import annotations

from typing import Any

NAME_WIDTH = 12


def bar_line(done: float, total: float, width: int, before: str = "", after: str = "") -> Any:
    """Return a line with a bar that fills the width between two texts."""
    from rich.progress_bar import ProgressBar
    from rich.table import Column, Table

    share = min(1.0, done / total) if total else 1.0
    after = f"{int(100 * share):3}%{after}"
    room = max(1, width - sum(len(text) + 1 for text in (before, after) if text))
    cells: list[Any] = [before] if before else []
    cells += [ProgressBar(total=1.0, completed=share, width=room), after]
    grid = Table.grid(*(Column(no_wrap=True, overflow="crop") for _ in cells), padding=(0, 1))
    grid.add_row(*cells)
    return grid


def named_line(name: str, value: str) -> Any:
    """Return a line with a name and a value, which is cut off at the width."""
    from rich.text import Text

    return Text.assemble((f"{name:<{NAME_WIDTH}}", "dim"), value, no_wrap=True, overflow="crop")


def folded(lines: list[str], width: int, most: int) -> list[Any]:
    """Return lines that are folded at a width, the first ones of them; dots end the last one if there are more."""
    from rich.console import Console
    from rich.text import Text

    console = Console(width=width)
    rows: list[Any] = []
    for line in lines:
        rows += Text(line).wrap(console, width, overflow="fold", no_wrap=False)
        if len(rows) > most:
            last = rows[most - 1].plain.rstrip()
            cut = Text(last)
            cut.truncate(max(0, width - 4))
            return [*rows[: most - 1], Text(f"{cut.plain} ...")]
    return rows
