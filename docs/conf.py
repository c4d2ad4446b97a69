"""Sphinx: the site of docs/ and of the docstrings, made by ``sphinx-build -W docs build/site``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import refengine

project = "refengine"
author = "the refengine authors"
copyright = author
version = release = refengine.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.apidoc", "plain_docstrings", "clauses"]
exclude_patterns = ["**.ipynb_checkpoints"]
nitpicky = False
# a type hint names a class without its module, and several modules have one of that name
suppress_warnings = ["ref.python"]

html_theme = "furo"
html_title = f"refengine {release}"
html_copy_source = False
html_show_sourcelink = False

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4

nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 600
nb_execution_show_tb = True
nb_merge_streams = True

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True

apidoc_modules = [
    {
        "path": "../refengine",
        "destination": "reference",
        "exclude_patterns": ["../refengine/__main__.py"],
        "max_depth": 2,
        "module_first": True,
        "include_private": False,
        "automodule_options": {"members", "show-inheritance"},
    }
]


def _without_public_names(app, docname, source):
    """The package's own page has its docstring alone: api.md describes the public names."""
    if docname == "reference/refengine":
        source[0] = source[0].replace("   :members:\n", "", 1)


def setup(app):
    """Called by Sphinx."""
    app.connect("source-read", _without_public_names)
