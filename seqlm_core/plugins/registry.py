"""Registries: the records of all plugins by name, and where each came from."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from seqlm_core.errors import PluginError, UnknownNameError
from seqlm_core.plugins.specs import Spec

SpecT = TypeVar("SpecT", bound=Spec)


FILE_PREFIX = "file:"


class Source(NamedTuple):
    """Where a plugin came from: an installed distribution, a file, or the running program.

    Attributes:
        distribution: the name of the distribution; for a file, ``file:`` and its path.
        version: the version of the distribution; for a file, a digest of its content.
        built_in: whether the plugin comes with seqlm.
    """

    distribution: str
    version: str
    built_in: bool = False

    @classmethod
    def of_file(cls, path: str, digest: str) -> Source:
        """Return the source of the plugins in a file."""
        return cls(FILE_PREFIX + path, digest)

    @property
    def file(self) -> str | None:
        """The path of the file; None for an installed distribution and for the running program."""
        return self.distribution[len(FILE_PREFIX) :] if self.distribution.startswith(FILE_PREFIX) else None

    @property
    def registers_again(self) -> bool:
        """Whether a name may be registered again: by the running program or from a file, and not by a distribution."""
        return self == THIS_PROGRAM or self.file is not None

    def __str__(self) -> str:
        return f"file {self.file}" if self.file is not None else f"{self.distribution} {self.version}".strip()


THIS_PROGRAM = Source("this program", "")
"""The source of plugins that the running program registers itself."""


class BrokenPlugin(NamedTuple):
    """A plugin, or one of its names, that cannot be used, and the cause."""

    name: str
    source: Source
    cause: str

    def is_called(self, name: str) -> bool:
        """Whether the broken plugin probably has the plugin ``name``, judged by the names of its parts."""
        return name in (self.name, self.source.distribution, self.source.distribution.removeprefix("seqlm-"))


@dataclasses.dataclass(frozen=True)
class Entry(Generic[SpecT]):
    """A registered record, and where it came from."""

    spec: SpecT
    source: Source


class Registry(Generic[SpecT]):
    """Cells, tokenizers or optimizers by name.

    If several distributions register a name, the built-in plugin gets it. If none of them is built in, no one gets it;
    but a run that was made with one of them still finds its own.

    Args:
        spec_class: the class of the records.
        failed: plugins of any kind that could not be loaded. A name that is not found may be in one of them.
    """

    def __init__(self, spec_class: type[SpecT], failed: Sequence[BrokenPlugin] = ()) -> None:
        self.spec_class = spec_class
        self.kind = spec_class.kind
        self._failed = failed
        self._offers: dict[str, list[Entry[SpecT]]] = {}

    def check(self, spec: SpecT, source: Source) -> None:
        """Raise :class:`~seqlm_core.PluginError` if ``source`` may not add ``spec``.

        A distribution may not offer a name twice. The running program or a file may not use the name of a built-in
        plugin. (An installed distribution that does so is shown as broken instead, since its users did not write it.)
        """
        offers = self._offers.get(spec.name, [])
        if source.registers_again:
            if any(offer.source.built_in for offer in offers):
                raise PluginError(f"{self.kind} {spec.name!r} is a built-in's name; choose another")
        elif any(offer.source == source for offer in offers):
            raise PluginError(f"offers {self.kind} {spec.name!r} twice")

    def add(self, spec: SpecT, source: Source) -> None:
        """Register ``spec``. If the running program or a file registers a name again, the new record replaces the old.

        Raises:
            PluginError: ``source`` may not add it; see :meth:`check`.
        """
        self.check(spec, source)
        offers = self._offers.setdefault(spec.name, [])
        if source.registers_again:
            offers[:] = [offer for offer in offers if offer.source.distribution != source.distribution]
        offers.append(Entry(spec, source))

    def get(self, name: str) -> SpecT:
        """Return the record that is registered as ``name``.

        Raises:
            UnknownNameError: there is none; the message lists the valid names and the nearest one.
        """
        return self.entry(name).spec

    def entry(self, name: str, distribution: str | None = None) -> Entry[SpecT]:
        """Return the record and its source.

        Args:
            name: the name to look for.
            distribution: a distribution whose record is preferred, such as the one that a run was made with.

        Raises:
            UnknownNameError: no record can be used; the message says why, or lists the valid names and the nearest one.
        """
        for offer in self._offers.get(name, []):
            if offer.source.distribution == distribution:
                return offer
        holder = self._holder(name)
        if holder is not None:
            return holder
        if name in self._offers:
            raise UnknownNameError(self._conflict(name))
        for broken in self._failed:
            if broken.is_called(name):
                raise UnknownNameError(
                    f"no {self.kind} {name!r}, since the plugin {broken.name!r} of {broken.source} is broken: "
                    f"{broken.cause}"
                )
        nearest = difflib.get_close_matches(str(name).lower(), self.names(), n=1)
        hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
        raise UnknownNameError(f"no {self.kind} {name!r}{hint}; there are: {', '.join(self.names()) or 'none'}")

    def names(self) -> list[str]:
        """Return the usable names in the order of their registration, those of built-in plugins first."""
        return [entry.spec.name for entry in self]

    def refused(self) -> list[tuple[Entry[SpecT], str]]:
        """Return the records that cannot have their name, each with the reason."""
        return [
            (offer, self._conflict(name))
            for name, offers in self._offers.items()
            for offer in offers
            if offer is not self._holder(name)
        ]

    def __iter__(self) -> Iterator[Entry[SpecT]]:
        held = [entry for entry in map(self._holder, self._offers) if entry is not None]
        return iter(sorted(held, key=lambda entry: not entry.source.built_in))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def _holder(self, name: str) -> Entry[SpecT] | None:
        offers = self._offers.get(name, [])
        for offer in offers:
            if offer.source.built_in or len(offers) == 1:
                return offer
        return None

    def _conflict(self, name: str) -> str:
        offers: list[Any] = self._offers[name]
        sources = " and ".join(str(offer.source) for offer in offers)
        if self._holder(name) is not None:
            return f"{self.kind} {name!r} is offered by {sources}; the built-in keeps the name"
        return (
            f"{self.kind} {name!r} is offered by {sources}; "
            "it is not usable until one of them is uninstalled or left out of SEQLM_PLUGINS"
        )
