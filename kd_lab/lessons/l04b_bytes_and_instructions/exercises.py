"""Exercises of lesson 04b: bytes, limits and 32 bits, each counted by hand, and the mistakes that their checks name."""

from typing import Any

from kd_lab.classroom.diagnosis import Case, Exercise, Mistake

# ---- 04b.1 ----------------------------------------------------------------------------------------------------------


def bytes_per_logit(sweeps: int, size: int, kept: float) -> float:
    """Bytes moved per logit, forward and backward, by so many sweeps over both rows; a share `kept` stays on chip."""
    first = 2 * size  # student and teacher
    later = 2 * size * (sweeps - 1) * (1 - kept)
    return first + later + size  # and the gradient


def bytes_from_elements(sweeps: int, size: int, kept: float) -> float:
    reads = sum(2 if sweep == 0 else 2 - 2 * kept for sweep in range(sweeps))
    return (reads + 1) * size


def bytes_from_the_bound(sweeps: int, size: int, kept: float) -> float:
    total = 3.0 * size
    while sweeps > 1:
        total, sweeps = total + 2 * size - 2 * size * kept, sweeps - 1
    return total


# ---- 04b.2 ----------------------------------------------------------------------------------------------------------


def least_seconds(bytes_moved: float, exponentials: float, bandwidth: float, rate: float) -> float:
    """Seconds, at the least, for so many bytes and exponentials at `bandwidth` and `rate`, both per second."""
    return max(bytes_moved / bandwidth, exponentials / rate)


def seconds_under_the_roof(bytes_moved: float, exponentials: float, bandwidth: float, rate: float) -> float:
    reached = min(rate, exponentials / bytes_moved * bandwidth)  # exponentials per second: the roof's height
    return exponentials / reached


def seconds_by_comparison(bytes_moved: float, exponentials: float, bandwidth: float, rate: float) -> float:
    if exponentials * bandwidth > bytes_moved * rate:
        return exponentials / rate
    return bytes_moved / bandwidth


# ---- 04b.3 ----------------------------------------------------------------------------------------------------------


def first_lost_row(vocabulary: int) -> int:
    """The first row n whose beginning, element n·V, is no number of 32 bits with a sign: above 2³¹ − 1."""
    return -(-(2**31) // vocabulary)


def lost_row_by_counting_up(vocabulary: int) -> int:
    row = 2**31 // vocabulary
    while row * vocabulary <= 2**31 - 1:
        row += 1
    return row


def lost_row_by_remainder(vocabulary: int) -> int:
    whole, rest = divmod(2**31 - 1, vocabulary)
    return whole + 1 if rest >= 0 else whole


# ---- Cases ----------------------------------------------------------------------------------------------------------


def case(description: str, *inputs: Any) -> Case:
    return Case(description, lambda: inputs)


SHORTER = (
    "In this case that is the shorter of the two times. Bytes and exponentials both have to be done: the slower of "
    "the two decides, whichever it is."
)
ROUNDED_DOWN = "This row still begins rightly: n·V fits into 32 bits. Round 2³¹/V up, not down."

EXERCISES = {
    "04b.1": Exercise(
        reference=bytes_per_logit,
        explanation=(
            "The first sweep reads both rows from memory, whatever is kept afterwards. Each later sweep reads what is "
            "no longer on the chip. The gradient of the student's logits is written once, in the logits' own size. "
            "(The teacher gets none, and a loss per row is nothing beside a row.)"
        ),
        cases=(
            case("two sweeps, 2 bytes per number, a fifth kept", 2, 2, 0.2),
            case("one sweep, 2 bytes per number, nothing kept", 1, 2, 0.0),
            case("two sweeps, 2 bytes per number, nothing kept", 2, 2, 0.0),
            case("two sweeps, 2 bytes per number, the whole row kept", 2, 2, 1.0),
            case("three sweeps, 4 bytes per number, a quarter kept", 3, 4, 0.25),
        ),
        mistakes=(
            Mistake(
                "gradient forgotten",
                "The gradient is missing: it has the shape of the logits, and is written once.",
                lambda sweeps, size, kept: 2 * size * (1 + (sweeps - 1) * (1 - kept)),
            ),
            Mistake(
                "gradient in every sweep",
                "The gradient is counted in every sweep. It can be written in the last one only, when both softmaxes "
                "are known.",
                lambda sweeps, size, kept: 2 * size * (1 + (sweeps - 1) * (1 - kept)) + size * sweeps,
            ),
            Mistake(
                "teacher forgotten",
                "One row is read where there are two: the student's and the teacher's.",
                lambda sweeps, size, kept: size * (1 + (sweeps - 1) * (1 - kept)) + size,
            ),
            Mistake(
                "kept before the first sweep",
                "The kept share is taken off the first sweep as well. Nothing is on the chip yet: the first sweep is "
                "what brings it there.",
                lambda sweeps, size, kept: 2 * size * sweeps * (1 - kept) + size,
            ),
            Mistake(
                "numbers, not bytes",
                "This counts numbers. A number takes `size` bytes.",
                lambda sweeps, size, kept: 2 * (1 + (sweeps - 1) * (1 - kept)) + 1,
            ),
            Mistake(
                "kept and read exchanged",
                "A later sweep reads what was *not* kept.",
                lambda sweeps, size, kept: 2 * size * (1 + (sweeps - 1) * kept) + size,
            ),
        ),
        unusual=(bytes_from_elements, bytes_from_the_bound),
    ),
    "04b.2": Exercise(
        reference=least_seconds,
        explanation=(
            "Memory and arithmetic work at the same time, so the slower of the two decides: the larger time, and not "
            "the sum. Seen as a rate, it is the lower of two lines: bandwidth times exponentials per byte, and the "
            "ceiling. Those two lines are the roof."
        ),
        cases=(
            case("100 bytes at 10 per second, 3 exponentials at 1 per second", 100.0, 3.0, 10.0, 1.0),
            case("100 bytes at 50 per second, 6 exponentials at 1 per second", 100.0, 6.0, 50.0, 1.0),
            case("7 bytes at 2 per second, 11 exponentials at 5 per second", 7.0, 11.0, 2.0, 5.0),
        ),
        mistakes=(
            Mistake(
                "sum of both",
                "The two times are added, as if the chip waited with its arithmetic until all bytes had come. It does "
                "both at once.",
                lambda moved, exponentials, bandwidth, rate: moved / bandwidth + exponentials / rate,
            ),
            Mistake(
                "the faster decides",
                SHORTER,
                lambda moved, exponentials, bandwidth, rate: min(moved / bandwidth, exponentials / rate),
            ),
            Mistake(
                "memory alone",
                SHORTER,
                lambda moved, exponentials, bandwidth, rate: moved / bandwidth,
            ),
            Mistake(
                "arithmetic alone",
                SHORTER,
                lambda moved, exponentials, bandwidth, rate: exponentials / rate,
            ),
            Mistake(
                "upside down",
                "The fractions are upside down: bytes ÷ (bytes per second) are seconds.",
                lambda moved, exponentials, bandwidth, rate: max(bandwidth / moved, rate / exponentials),
            ),
        ),
        unusual=(seconds_under_the_roof, seconds_by_comparison),
    ),
    "04b.3": Exercise(
        reference=first_lost_row,
        explanation=(
            "A signed number of 32 bits ends at 2³¹ − 1. The first multiple of V beyond that belongs to row ⌈2³¹/V⌉. "
            "In Python, `-(-a // b)` rounds up without a detour through floating point."
        ),
        cases=(
            case("V = 128,256", 128_256),
            case("V = 50,257", 50_257),
            case("V = 65,536 = 2¹⁶", 65_536),
        ),
        mistakes=(
            Mistake("last good row", ROUNDED_DOWN, lambda vocabulary: (2**31 - 1) // vocabulary),
            Mistake("rounded down", ROUNDED_DOWN, lambda vocabulary: 2**31 // vocabulary),
            Mistake(
                "2³¹ taken for a 32-bit number",
                "2³¹ itself is taken for a number of 32 bits with a sign. The largest one is 2³¹ − 1: see a V that "
                "divides 2³¹.",
                lambda vocabulary: 2**31 // vocabulary + 1,
            ),
            Mistake(
                "without a sign",
                "This is the limit of numbers without a sign, 2³². `mul.lo.s32` has one, and loses a bit to it.",
                lambda vocabulary: -(-(2**32) // vocabulary),
            ),
            Mistake(
                "bytes",
                "This counts bytes of 16-bit numbers. A pointer of Triton's counts elements, and knows their size.",
                lambda vocabulary: -(-(2**30) // vocabulary),
            ),
        ),
        unusual=(lost_row_by_counting_up, lost_row_by_remainder),
    ),
}
