"""Output that no encoding ends: on Windows a redirected output is in a code page, which has neither λ nor τ."""

import io
import sys


def print_in_any_encoding() -> None:
    """Let this process print a question mark for each letter that its output's encoding lacks, instead of an error.

    A terminal, and every other output in UTF-8, shows them all.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # a test or a notebook may have put another object there
        sys.stdout.reconfigure(errors="replace")
