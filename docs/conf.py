"""Settings of Sphinx, which builds the documentation site; the README names the command.

The pages are plain Markdown, so that a repository browser shows them well. What only the site needs is in the folders
``reference`` (pages that are made from the code) and ``extensions``.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

import seqlm_core

project = "seqlm"
version = release = seqlm_core.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
extensions += ["click_commands", "dataclass_fields", "plain_pages"]  # our own
exclude_patterns = ["_build"]
nitpicky = True
nitpick_ignore_regex = [
    # Other packages. Their documentation is not read, so that the site is built without a network.
    ("py:.*", r"(np|numpy|mx|mxnet|gluon|pluggy|click|collections|datetime|importlib|os|pathlib)\..*"),
    # What is not public, and so has no entry. Annotations name it with or without its module.
    ("py:(class|mod)", r"seqlm_core\.(evaluation|generation|model|plugins|reading|runs|sequences)\..*"),
    ("py:(class|mod)", r"seqlm_core\.(settings|storage)\..*"),
    ("py:class", rf"(?!({'|'.join(seqlm_core.__all__)})$)\w+"),
]

# The pages
myst_heading_anchors = 4  # so many levels of headings can be linked to, as in a repository browser
smartquotes_action = "D"  # dashes only

# The Python API
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
napoleon_use_ivar = True
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries_show_parents = "hide"
maximum_signature_line_length = 88

# The look: nothing is fetched from elsewhere
html_theme = "furo"
html_title = f"seqlm {release}"
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_static_path = ["extensions/static"]
html_css_files = ["seqlm.css"]
