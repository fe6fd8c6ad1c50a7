"""Docstrings are written to be read as they stand; here they are made safe for reStructuredText.

A bar, a star or an underscore at the end of a word is a sign of mathematics or a name there, and markup here.
"""

import re


def escape(what: str, lines: list[str]) -> None:
    """Escape in place what reStructuredText would read as markup: |x|, *args, l02_, and tables of Markdown.

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
            out.append(escaped(line))
    lines[:] = out


def escaped(line: str) -> str:
    parts = re.split(r"(`+[^`]*`+|:\w+:`[^`]*`|\*\*[^*]+\*\*)", line)
    plain = [re.sub(r"(?<!\\)([|*])|(?<=\w)(_)(?!\w)", lambda found: "\\" + found[0], part) for part in parts[::2]]
    parts[::2] = plain
    return re.sub(r"(?<!`)(`[^`]+`)(?=\w)", r"\1\\ ", "".join(parts))
