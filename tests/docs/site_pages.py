"""Reads the pages of the documentation site: where their links lead, what they load, and what can be looked up."""

from __future__ import annotations

import re
import zlib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"src", "srcset", "poster", "data"}
"""The attributes by which a page loads something, whatever their element is."""
IN_STYLES = re.compile(r"""url\(\s*["']?([^"')\s]+)|@import\s+["']([^"']+)""")


class Page(HTMLParser):
    """What a page links to, what it loads, and the anchors that others can link to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if value is None:
                continue
            if name == "id":
                self.anchors.add(value)
            elif name == "href" and tag in ("a", "area"):
                self.links.append(value)
            elif name in LOADED or name == "href":
                self.loaded.append(value)
            elif name == "style":
                self.loaded += addresses_in_styles(value)


def addresses_in_styles(text: str) -> list[str]:
    """Return the addresses that a text in CSS loads."""
    return [first or second for first, second in IN_STYLES.findall(text)]


def pages(site: Path) -> dict[Path, Page]:
    """Return all pages of a site."""
    return {path: Page(path.read_text()) for path in sorted(site.rglob("*.html"))}


def is_remote(address: str) -> bool:
    """Whether a browser would ask another computer for it."""
    parts = urlsplit(address)
    return bool(parts.netloc) or parts.scheme not in ("", "data")


def dead_links(site: Path) -> list[str]:
    """Return the links within a site, and what its pages load of it, that are not there."""
    found = pages(site)
    dead = []
    for path, page in found.items():
        for address in page.links + page.loaded:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            has_anchor = not parts.fragment or target not in found or unquote(parts.fragment) in found[target].anchors
            if not target.exists() or not has_anchor:
                dead.append(f"{path.relative_to(site)}: {address}")
    return dead


def remote_links(site: Path) -> set[str]:
    """Return the addresses of other computers that the pages link to."""
    return {link for page in pages(site).values() for link in page.links if is_remote(link)}


def remote_resources(site: Path) -> list[str]:
    """Return what a browser would load from other computers to show the site."""
    loaded = [(path, address) for path, page in pages(site).items() for address in page.loaded]
    for path in sorted(site.rglob("*.css")):
        loaded += [(path, address) for address in addresses_in_styles(path.read_text())]
    return [f"{path.relative_to(site)}: {address}" for path, address in loaded if is_remote(address)]


def entries(site: Path) -> set[str]:
    """Return what can be looked up, as ``py:class seqlm_core.Plugins`` or ``std:cmdoption seqlm-train.--cell``."""
    head, packed = re.match(rb"((?:#.*\n){4})([\s\S]*)", (site / "objects.inv").read_bytes()).groups()
    assert b"zlib" in head
    lines = zlib.decompress(packed).decode().splitlines()
    return {" ".join(reversed(re.match(r"(.+?) (\S+:\S+) ", line).groups())) for line in lines}
