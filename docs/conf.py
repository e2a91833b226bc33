"""Settings of Sphinx, which builds the documentation site: ``sphinx-build -W --keep-going -b html docs docs/_build/html``.

The pages are plain Markdown, so that a repository browser shows them well. What only the site needs is in the folders
``reference`` (pages that are made from the code) and ``extensions``.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

from seqlm_core.version import __version__

project = "seqlm"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "click_commands", "help_of_settings", "plain_pages"]
exclude_patterns = ["_build"]
nitpicky = True
nitpick_ignore_regex = [
    # Other packages. Their documentation is not read, so that the site is built without a network.
    ("py:.*", r"(np|numpy|mx|mxnet|gluon|pluggy|click|collections|importlib|os|pathlib)\..*"),
    # What is not public, and so has no entry: modules, types of arguments, and parts of a training.
    ("py:(class|mod)", r"seqlm_core\.(generation|model|plugins|reading|runs|sequences|settings|storage)\..*"),
    ("py:class", r"Label|Path|PathLike|Sizes|Texts|Token"),
    ("py:class", r"LanguageNetwork|RecurrentNetwork|SequenceNetwork|Task|TrainingSettings|Updates"),
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
html_static_path = ["extensions/static"]
html_css_files = ["seqlm.css"]
