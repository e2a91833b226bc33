"""Lets the pages be plain Markdown: adds the table of contents, and mends links that lead out of ``docs``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

CONTENTS = Path(__file__).with_name("contents.txt")
ON_THE_SITE = {
    "../README.md#changing-the-code": "/reference/changing-the-code.md",
    "../README.md#requirements": "/reference/installation.md#requirements",
    "../data/README.md": "/reference/sample-text.md",
}
"""Where the site has what is outside of ``docs``."""
OUTWARD_LINK = re.compile(r"\[([^\]]+)\]\((\.\./[^)]+)\)")


def adapt_page(app: Sphinx, name: str, source: list[str]) -> None:
    """Change the text of a page before it is parsed."""
    if "/" not in name:
        source[0] = OUTWARD_LINK.sub(site_link, source[0])
    if name == app.config.root_doc:
        source[0] += "\n" + CONTENTS.read_text()


def site_link(link: re.Match[str]) -> str:
    """Return a link to the same on the site, or the bare text if the site does not have it."""
    text, target = link.groups()
    return f"[{text}]({ON_THE_SITE[target]})" if target in ON_THE_SITE else text


def setup(app: Sphinx) -> dict[str, Any]:
    """Register what is called for each page."""
    app.connect("source-read", adapt_page)
    return {"version": "1", "parallel_read_safe": True}
