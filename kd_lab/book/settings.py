"""Sphinx's settings for the book; nothing in it is fetched from elsewhere when a page is opened."""

from collections.abc import Mapping, Sequence
from typing import Any

from sphinx.application import Sphinx

from kd_lab import __version__
from kd_lab.book.docstrings import escape, in_lessons
from kd_lab.book.signatures import parameters_of, signature_of

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
    "python_maximum_signature_line_length": 60,
    "html_theme": "pydata_sphinx_theme",
    "html_title": "kd_lab",
    "html_favicon": "_static/favicon.svg",
    "html_static_path": ["_static"],
    "html_sidebars": {"index": [], "claims": [], "trainers": []},  # they have no pages below them
    "html_css_files": ["book.css"],
    "html_js_files": ["player.js"],
    "html_context": {"default_mode": "auto"},
    "html_theme_options": {"show_prev_next": True, "navigation_depth": 3, "use_edit_page_button": False},
    "html_show_sourcelink": False,
    "html_copy_source": False,
}


def application(
    source: Any,
    pages: Any,
    cache: Any,
    log: Any,
    targets: Mapping[str, str] | None = None,
    lessons: Mapping[str, Sequence[str]] | None = None,
) -> Sphinx:
    """Sphinx, ready to build `source` into `pages`; all that it says goes to `log`.

    Args:
        source, pages, cache, log: folders, and an open file.
        targets: names of the library → the targets of their reference, for links between docstrings.
        lessons: target → the names of the lessons that use it, for links from docstrings.
    """
    app = Sphinx(source, None, pages, cache, "html", confoverrides=SETTINGS, status=log, warning=log)
    lessons = lessons or {}
    of_all = len({name for names in lessons.values() for name in names})

    def docstring(app: Sphinx, what: str, name: str, one: Any, options: Any, lines: list[str]) -> None:
        own = parameters_of(one)
        escape(what, lines, {word: target for word, target in (targets or {}).items() if word not in own})
        lines += in_lessons(lessons.get(name, ()), of_all)

    def signature(app: Sphinx, what: str, name: str, one: Any, *more: Any) -> tuple[str, str] | None:
        return signature_of(one) if what in ("function", "method", "class") else None

    app.connect("autodoc-process-docstring", docstring, priority=1)
    app.connect("autodoc-process-signature", signature)
    return app
