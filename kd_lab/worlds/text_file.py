"""A learner's own text: one file, one text per line."""

import stat
import unicodedata
from pathlib import Path

import torch

from kd_lab.arguments import checked
from kd_lab.worlds.batch import Batch, Vocabulary
from kd_lab.worlds.surnames import is_held_out
from kd_lab.worlds.world import World

FEWEST_LINES, MOST_LINES = 20, 100_000  # distinct ones; the most take 100 MB as ids
LONGEST_LINE = 128
MOST_MIB = 16
END_MARKS = ".␃"  # the first that no line uses


@checked
def text_file(path: str | Path) -> World:
    """The world of the lines of a UTF-8 text file, split by text: each distinct line is one row.

    Blank lines and spaces around a line are dropped, repeated lines count once, and so do the two ways in which Unicode
    writes one accented letter: lines are composed (NFC). The vocabulary is every character that occurs, in sorted
    order, after the end mark. A tenth is held out, chosen by the text alone.

    Args:
        path: a file of at most 16 MiB with 20 to 100,000 distinct lines of at most 128 characters, such as a list of
            place names.

    Raises:
        ValueError: the file is missing, no ordinary file, too large, not UTF-8, has too few or too many distinct lines
            or one that is too long.
    """
    path = Path(path)
    if "\0" in str(path):
        raise ValueError(f"path is {str(path)!r:.200}; expected the path of a text file, which holds no zero byte")
    text = _read(path)
    lines = (unicodedata.normalize("NFC", line.strip()) for line in text.splitlines())
    lines = list(dict.fromkeys(line for line in lines if line))
    if not FEWEST_LINES <= len(lines) <= MOST_LINES:
        raise ValueError(
            f"{str(path)!r} has {len(lines)} distinct lines that are not blank; expected {FEWEST_LINES} to "
            f"{MOST_LINES}, one text per line: add some, so that some can be held out, or keep a part of the file"
        )
    if too_long := next((line for line in lines if len(line) > LONGEST_LINE), None):
        raise ValueError(
            f"a line of {str(path)!r} has {len(too_long)} characters, beginning {too_long[:30]!r}; expected at most "
            f"{LONGEST_LINE}: break it into shorter lines, one text each"
        )
    characters = sorted(set("".join(lines)))
    free = [mark for mark in END_MARKS if mark not in characters]
    if not free:
        raise ValueError(f"{str(path)!r} uses both {END_MARKS[0]!r} and {END_MARKS[1]!r}; remove the second")
    vocabulary = Vocabulary(free[0] + "".join(characters))

    held_out = torch.tensor([is_held_out(line) for line in lines])
    if not held_out.any():
        held_out[-1] = True  # twenty lines and no luck: one must still be held out
    tokens = vocabulary.encode(lines)
    train, rest = (Batch.from_tokens(tokens[rows], end=vocabulary.end) for rows in (~held_out, held_out))
    return World(path.stem, vocabulary, train, rest)


def _read(path: Path) -> str:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError
        if not stat.S_ISREG(status.st_mode):  # reading a pipe or a device may never end
            raise ValueError(
                f"{str(path)!r} is a pipe, a socket or a device; expected an ordinary file: save it as one"
            )
        if status.st_size > MOST_MIB << 20:
            raise ValueError(
                f"{str(path)!r} has {status.st_size} bytes; expected at most {MOST_MIB} MiB: keep a part of its lines"
            )
        text = path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise ValueError(
            f"there is no text file at {str(path)!r}; expected a file with one text per line "
            f"(the working folder is {str(Path.cwd())!r})"
        ) from error
    except PermissionError as error:
        raise ValueError(f"{str(path)!r} may not be read; change its permissions, or copy it") from error
    except OSError as error:  # such as a name that is too long
        raise ValueError(f"{str(path)!r} cannot be read: {error.strerror}; expected the path of a text file") from error
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{str(path)!r} is not UTF-8: byte {error.start} is 0x{error.object[error.start]:02x}; "
            "save it as UTF-8 text (a spreadsheet or a word processor exports that as plain text)"
        ) from error
    if "\0" in text:
        raise ValueError(f"{str(path)!r} holds zero bytes, so it is no text; expected UTF-8 text, one text per line")
    return text
