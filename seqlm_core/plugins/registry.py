"""Registries: names mapped to what plugins registered under them, and where each came from."""

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
    """The installed distribution that brought a plugin; or a file that did.

    Attributes:
        distribution: its name; of a file ``file:`` and the path.
        version: its version; of a file a digest of what is in it.
        built_in: whether the plugin comes with seqlm.
    """

    distribution: str
    version: str
    built_in: bool = False

    @classmethod
    def of_file(cls, path: str, digest: str) -> Source:
        """Return the source of what a file registers."""
        return cls(FILE_PREFIX + path, digest)

    @property
    def file(self) -> str | None:
        """Path of the file; None of an installed distribution, and of what a program registers itself."""
        return self.distribution[len(FILE_PREFIX) :] if self.distribution.startswith(FILE_PREFIX) else None

    @property
    def registers_again(self) -> bool:
        """Whether a name may be registered anew, since a program or its user does it and not an installation."""
        return self == THIS_PROGRAM or self.file is not None

    def __str__(self) -> str:
        return f"file {self.file}" if self.file is not None else f"{self.distribution} {self.version}".strip()


THIS_PROGRAM = Source("this program", "")
"""The source of what a running program registers itself, without being an installed distribution."""


class BrokenPlugin(NamedTuple):
    """A plugin, or one name of a plugin, that cannot be used, and why."""

    name: str
    source: Source
    cause: str

    def is_called(self, name: str) -> bool:
        """Whether what is broken seems to be what would have brought ``name``, by the names of its parts."""
        return name in (self.name, self.source.distribution, self.source.distribution.removeprefix("seqlm-"))


@dataclasses.dataclass(frozen=True)
class Entry(Generic[SpecT]):
    """A registered record and the distribution that brought it."""

    spec: SpecT
    source: Source


class Registry(Generic[SpecT]):
    """Cells, tokenizers or optimizers by name.

    A name that is offered twice belongs to the built-in; between two strangers it belongs to neither, but for runs that
    were made with one of them.

    Args:
        spec_class: the class of the records.
        failed: plugins of any kind that could not be loaded, which what is not found may have been in.
    """

    def __init__(self, spec_class: type[SpecT], failed: Sequence[BrokenPlugin] = ()) -> None:
        self.spec_class = spec_class
        self.kind = spec_class.kind
        self._failed = failed
        self._offers: dict[str, list[Entry[SpecT]]] = {}

    def check(self, spec: SpecT, source: Source) -> None:
        """Raise :class:`PluginError` where ``source`` cannot add ``spec``.

        One distribution cannot offer a name twice, and a running program or a file cannot take a built-in's name. (An
        installed distribution that does is shown as broken, since whoever runs the program did not write it.)
        """
        offers = self._offers.get(spec.name, [])
        if source.registers_again:
            if any(offer.source.built_in for offer in offers):
                raise PluginError(f"{self.kind} {spec.name!r} is a built-in's name; choose another")
        elif any(offer.source == source for offer in offers):
            raise PluginError(f"offers {self.kind} {spec.name!r} twice")

    def add(self, spec: SpecT, source: Source) -> None:
        """Register ``spec``. What a running program or a file registers replaces its earlier record of that name.

        Raises:
            PluginError: see :meth:`check`.
        """
        self.check(spec, source)
        offers = self._offers.setdefault(spec.name, [])
        if source.registers_again:
            offers[:] = [offer for offer in offers if offer.source.distribution != source.distribution]
        offers.append(Entry(spec, source))

    def get(self, name: str) -> SpecT:
        """Return what is registered as ``name``.

        Raises:
            UnknownNameError: nothing is; the message has the valid names and the nearest one.
        """
        return self.entry(name).spec

    def entry(self, name: str, distribution: str | None = None) -> Entry[SpecT]:
        """Return the record and its source.

        Args:
            name: that is looked for.
            distribution: whose record it should be, if it has one: that with which a run was made.

        Raises:
            UnknownNameError: as in :meth:`get`.
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
        """Return the usable names, built-ins first, in the order of their registration."""
        return [entry.spec.name for entry in self]

    def refused(self) -> list[tuple[Entry[SpecT], str]]:
        """Return the records whose name they cannot have, each with the reason."""
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
