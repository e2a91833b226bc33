"""What was measured, as tables and lines of text."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from training_speed.contestant import PEERS
from training_speed.measuring import Row


def print_heading(columns: Sequence[str]) -> None:
    """Print the first two lines of a table."""
    print(f"\n| {' | '.join(columns)} |\n|{' --- |' * len(columns)}", flush=True)


def print_row(*values: object) -> None:
    """Print a line of a table."""
    print(f"| {' | '.join(map(str, values))} |", flush=True)


def speed_columns(names: Sequence[str]) -> list[str]:
    """Return the columns of the contestants: their speeds, and how many times faster seqlm is."""
    return [*names, *(["times the fastest peer"] if set(names) & set(PEERS) else []), "times MXNet fused"]


def speed_values(row: Row, names: Sequence[str]) -> list[str]:
    """Return what stands in the columns of speeds."""
    peer = row.fastest_peer
    ratios = ([f"{row.ratio(peer):.2f}"] if peer else []) + [f"{row.ratio('MXNet fused'):.2f}"]
    return [*(f"{row.speed(name):,.0f}" for name in names), *ratios]


def memory_names(names: Sequence[str]) -> list[str]:
    """Return whose memory is told."""
    return [name for name in names if name != "MXNet fused"]


def memory_values(row: Row, names: Sequence[str]) -> list[str]:
    """Return what stands in the columns of memory."""
    return [f"{row.memory[name] / 2**20:,.0f}" for name in memory_names(names)]


def print_summary(rows: Sequence[Row], names: Sequence[str]) -> None:
    """Print a line for each claim."""
    print()
    others = {name: [(row.ratio(name), str(row)) for row in rows] for name in names if name != "seqlm"}
    if rows[0].fastest_peer:
        others["the fastest peer"] = [(row.ratio(row.fastest_peer), f"{row}: {row.fastest_peer}") for row in rows]
    for other, ratios in others.items():
        ratios.sort()
        below = [f"{ratio:.2f}: {row}" for ratio, row in ratios if ratio < 1]
        print(
            f"- Speed beside {other}: lowest ratio {ratios[0][0]:.2f} ({ratios[0][1]}), median "
            f"{statistics.median(ratio for ratio, _ in ratios):.2f}; below 1.0 in {len(below)} of {len(rows)} rows"
        )
        for told in below:
            print(f"  - {told}")
    if all(row.peak for row in rows):
        low, high = (choose(rows, key=lambda row: row.share_of_peak) for choose in (min, max))
        print(f"- Share of the sgemm peak: {low.share_of_peak:.1%} ({low}) to {high.share_of_peak:.1%} ({high})")
    single = [row for row in rows if row.threads == 1]
    if single:
        told = ", ".join(f"{name} {max(row.busy[name] for row in single):.2f}" for name in names)
        print(f"- Processors busy with 1 thread, at most: {told}")
    most = max(rows, key=lambda row: row.disturbed)
    print(f"- Of a processor, other programs took at most {most.disturbed:.0%} during a timing ({most})")
    if rows[0].fastest_peer:
        most = max(rows, key=lambda row: row.memory_ratio)
        more = sum(row.memory_ratio > 1 for row in rows)
        print(
            f"- Memory: at most {most.memory_ratio:.2f} times that of the peer that takes least ({most}); more than it "
            f"in {more} of {len(rows)} rows",
            flush=True,
        )
