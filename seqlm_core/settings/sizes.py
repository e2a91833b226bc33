"""The sizes of layers: one for all of them, or one for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Union

from seqlm_core.errors import SettingError
from seqlm_core.settings.limits import check_limits, check_type

MOST_LAYERS = 100

Sizes = Union[int, tuple[int, ...]]


def check_sizes(name: str, value: Any, limits: Mapping[str, Any]) -> None:
    """Raise :class:`SettingError` unless a value is a size, or a list or tuple of at least one, within the limits."""
    sizes = value if isinstance(value, (list, tuple)) and value else [value]
    if len(sizes) > MOST_LAYERS:
        raise SettingError(name, f"must have at most {MOST_LAYERS} sizes, one for each layer, not {len(sizes)}")
    for size in sizes:
        check_type(name, size, tuple, int)
        check_limits(name, size, int, limits)


def layers_and_sizes(layers: int | None, sizes: Sizes) -> tuple[int, Sizes]:
    """Return the number of layers, and their sizes in their shortest form: one size if all are the same.

    Args:
        layers: how many there are; None means as many as there are sizes.
        sizes: checked sizes, the setting ``hidden_size``.

    Raises:
        SettingError: there are more or fewer sizes than layers.
    """
    if isinstance(sizes, int):
        return 1 if layers is None else layers, sizes
    if layers not in (None, len(sizes)):
        raise SettingError(
            "hidden_size", f"has {len(sizes)} sizes, and `layers` is {layers}; give one size for each layer, or one"
        )
    return len(sizes), sizes[0] if len(set(sizes)) == 1 else tuple(sizes)


def size_of_each(sizes: Sizes, layers: int) -> tuple[int, ...]:
    """Return the size of each of so many layers, the lowest first."""
    return (sizes,) * layers if isinstance(sizes, int) else sizes
