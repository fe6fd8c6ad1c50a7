"""Docstrings are written to be read as they stand; here they are made safe for reStructuredText.

A bar, a star or an underscore at the end of a word is a sign of mathematics or a name there, and markup here. A name of
the library in backticks becomes a link.
"""

import re
from collections.abc import Mapping, Sequence

CODE = re.compile(r"(?<![`\[])`(\w[\w.]*)(\([^`]*\))?`(?!`)")
"""A name in backticks, with the arguments of a call where there are some."""


def escape(what: str, lines: list[str], targets: Mapping[str, str] | None = None) -> None:
    """Escape in place what reStructuredText would read as markup: |x|, *args, l02_, and tables of Markdown.

    Args:
        what: the kind of thing that the docstring belongs to, as autodoc has it.
        lines: of the docstring.
        targets: names of the library → the targets of their reference, to which the names in backticks then lead.

    Code in backticks and examples stay as they are. A property's first line may hold a colon, which Google's style
    would read as the end of a type.

    >>> lines = ["Σ_b |a − b| of `a|b`, from *args."]
    >>> escape("function", lines)
    >>> print(lines[0].replace(chr(92), "/"))
    Σ_b /|a − b/| of `a|b`, from /*args.
    """
    out: list[str] = [""] if what in ("property", "attribute") else []
    example = table = False
    for line in lines:
        bare = line.lstrip()
        if bare.startswith("|") and not table:
            indent = line[: len(line) - len(bare)]
            out += [f"{indent}::", ""]
        table = bare.startswith("|")
        example = bare.startswith(">>>") or (example and bool(bare))
        if table:
            out.append("   " + line)
        elif example or bare.startswith(".. "):
            out.append(line)
        else:
            out.append(escaped(linked(line, targets or {})))
    lines[:] = out


def linked(line: str, targets: Mapping[str, str]) -> str:
    """
    >>> linked("as `k1(q, p)`, with `mask`", {"k1": "kd_lab.how.k1"})
    'as `k1(q, p) <kd_lab.how.k1>`, with `mask`'
    """

    def link(found: re.Match[str]) -> str:
        target = targets.get(found[1])
        return f"`{found[1]}{found[2] or ''} <{target}>`" if target else found[0]

    return CODE.sub(link, line)


def in_lessons(names: Sequence[str], of_all: int) -> list[str]:
    """The line under a docstring that leads to the lessons with these names, of so many in all.

    >>> in_lessons(["03_which_kl"], of_all=17)
    ['', 'In lesson :doc:`03 </lessons/03_which_kl>`.', '']
    """
    if not names:
        return []
    if len(names) > of_all / 2 and len(names) > 2:
        return ["", "In most lessons.", ""]
    links = [f":doc:`{name.partition('_')[0]} </lessons/{name}>`" for name in names]
    return ["", f"In lesson{'s' * (len(links) > 1)} {', '.join(links)}.", ""]


def escaped(line: str) -> str:
    parts = re.split(r"(`+[^`]*`+|:\w+:`[^`]*`|\*\*[^*]+\*\*)", line)
    for i in range(0, len(parts), 2):
        if i and parts[i - 1].endswith("`") and re.match(r"\w", parts[i]):
            parts[i - 1] += "\\ "  # markup ends before a space alone
        parts[i] = re.sub(r"(?<!\\)([|*])|(?<=\w)(_)(?!\w)", lambda found: "\\" + found[0], parts[i])
    return "".join(parts)
