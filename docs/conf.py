"""Sphinx's settings of the documentation: `scripts/docs` builds it, without a network."""

import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS.parent), str(DOCS)]

project = "latent-policies"
author = "the latent-policies developers"
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "myst_nb",
    "algorithm_pages",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "latent-policies"
html_show_sourcelink = False
# Pages are read on GitHub, too, where links to headings are made in this way.
myst_heading_anchors = 3
# The notebooks lie in the repository as they ran; tests/test_docs.py runs them again.
nb_execution_mode = "off"
autodoc_typehints = "description"
autodoc_member_order = "bysource"
napoleon_google_docstring = True
# Results link to their CSV files; figures that a page does not show stay where they are.
suppress_warnings = ["myst.xref_missing"]
