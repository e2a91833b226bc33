"""Pages that a browser shows without a network: everything is in the file, and nothing in a text can script it."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from seqlm_core.errors import UsageError
from seqlm_core.storage.files import write_atomically
from seqlm_core.version import __version__

TEMPLATES = Path(__file__).with_name("templates")
NOT_IN_A_SCRIPT = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}
"""Characters by which a text could end the script that holds it, and how JSON spells them instead."""


def write_page(path: Path, template: str, title: str, data: Any, scripts: list[str], **values: Any) -> None:
    """Write a page into a file; the other arguments and errors are those of :func:`page_of`.

    Raises:
        RunError: the file cannot be written.
    """
    # A lone surrogate, which a text may hold, has no UTF-8.
    write_atomically(path, page_of(template, title, data, scripts, **values).encode("utf-8", "replace"))


def page_of(template: str, title: str, data: Any, scripts: list[str], connect: str = "'none'", **values: Any) -> str:
    """Return a page.

    Args:
        template: the name of the template of what is in the page.
        title: the title.
        data: values that JSON can hold, which the scripts find in the element ``data``.
        scripts: the texts of the scripts, in order.
        connect: what the page may connect to, as a content security policy says it.
        values: what the template needs besides.

    Raises:
        UsageError: the package jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError as error:
        raise missing("jinja2") from error
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    page: str = environment.get_template(template).render(
        title=title,
        data=json_for_script(data),
        scripts=scripts,
        policy=policy(scripts, connect),
        style=(TEMPLATES / "page.css").read_text(encoding="utf-8"),
        version=__version__,
        **values,
    )
    return page


def script(name: str) -> str:
    """Return the text of one of seqlm's own scripts."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def json_for_script(value: Any) -> str:
    """Return a value as JSON in ASCII that can stand within a script element, whatever texts it holds."""
    return json.dumps(value, separators=(",", ":")).translate(NOT_IN_A_SCRIPT)


def policy(scripts: list[str], connect: str) -> str:
    """Return a content security policy that allows these scripts alone, and connections to one place at most."""
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        f"connect-src {connect}; base-uri 'none'; form-action 'none'"
    )


def missing(package: str) -> UsageError:
    """Return the error that a package is not installed which only pages need."""
    return UsageError(f"pages need the package {package}, which is not installed: pip install 'seqlm[pages]'")
