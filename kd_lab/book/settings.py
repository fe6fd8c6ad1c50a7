"""Sphinx's settings for the book; nothing in it is fetched from elsewhere when a page is opened."""

from typing import Any

from sphinx.application import Sphinx

from kd_lab import __version__
from kd_lab.book.docstrings import escape

SETTINGS: dict[str, Any] = {
    "project": "kd_lab",
    "author": "the authors of kd_lab",
    "version": __version__,
    "release": __version__,
    "extensions": [
        "myst_nb",
        "sphinx.ext.autodoc",
        "sphinx.ext.napoleon",
        "sphinx.ext.mathjax",
        "sphinx-mathjax-offline",
    ],
    "nb_execution_mode": "off",
    "nb_render_markdown_format": "myst",
    "nb_code_prompt_show": "Show the code",
    "nb_code_prompt_hide": "Hide the code",
    "myst_enable_extensions": ["dollarmath", "amsmath"],
    "myst_heading_anchors": 3,
    "suppress_warnings": [
        *("mystnb.unknown_mime_type", "myst.header", "misc.highlighting_failure", "ref.python"),
        *("app.add_node", "app.add_directive", "app.add_role"),  # where a process builds a second time
    ],
    "default_role": "py:obj",
    "autodoc_typehints": "none",
    "autodoc_member_order": "bysource",
    "autodoc_inherit_docstrings": False,
    "autodoc_preserve_defaults": True,
    "python_use_unqualified_type_names": True,
    "html_theme": "pydata_sphinx_theme",
    "html_title": "kd_lab",
    "html_static_path": ["_static"],
    "html_css_files": ["book.css"],
    "html_js_files": ["player.js"],
    "html_context": {"default_mode": "auto"},
    "html_theme_options": {"show_prev_next": True, "navigation_depth": 3, "use_edit_page_button": False},
    "html_show_sourcelink": False,
    "html_copy_source": False,
}


def application(source: Any, pages: Any, cache: Any, log: Any) -> Sphinx:
    """Sphinx, ready to build `source` into `pages`; all that it says goes to `log`."""
    app = Sphinx(source, None, pages, cache, "html", confoverrides=SETTINGS, status=log, warning=log)

    def safe(app: Sphinx, what: str, name: str, one: Any, options: Any, lines: list[str]) -> None:
        escape(what, lines)

    app.connect("autodoc-process-docstring", safe, priority=1)
    return app
