"""How many sequences there are: V^L written out, beside what could be listed in a second, a year, an age."""

from math import log10

from kd_lab.viz.explorer import Choice, Explorer, Slider
from kd_lab.viz.style import FAINT, INK, TEACHER

RATE = 1e9  # sequences a second: generous for any machine that also has to look at them
YEAR = 3.156e7  # seconds
AGE = 13.8e9 * YEAR  # of the universe, in seconds
LANDMARKS = {"a second": RATE, "a year": RATE * YEAR, "age of the universe": RATE * AGE, "atoms in\nthe universe": 1e80}
SIZES = ((20, 40, 1), (12, 66, 4), (7.5, 104, 10))  # of the digits, in points; how many fit in a line; how many lines
LONGEST = 200  # tokens: a paragraph
VOCABULARIES = {2: "a coin", 7: "an exact language", 27: "letters", 256: "bytes", 50_257: "GPT-2"}


def sequence_counter(name: str = "counter") -> Explorer:
    """An explorer of V^L: the number with all its digits, and its place on a line of landmarks.

    Args:
        name: of the explorer.
    """
    most = LONGEST * log10(max(VOCABULARIES))

    def create(figure):
        digits, line = figure.subplots(2, 1, height_ratios=(3, 2))
        digits.set_axis_off()
        number = digits.text(0, 1, "", va="top", family="DejaVu Sans Mono", linespacing=1.35, color=INK)
        line.set(xscale="log", xlim=(0.25, 1.6 * most), ylim=(0, 1), yticks=[], xticks=[1, 10, 100, 1000])
        line.set_xticklabels(["10", "10¹⁰", "10¹⁰⁰", "10¹⁰⁰⁰"])
        line.set_xlabel("how many sequences (the exponent grows tenfold from tick to tick)")
        line.spines["left"].set_visible(False)
        line.minorticks_off()
        for i, (label, count) in enumerate(LANDMARKS.items()):
            height = 0.72 if i == 2 else 0.36  # out of the way of its neighbours
            line.axvline(log10(count), ymax=height - 0.06, color=FAINT, linestyle="-", linewidth=1)
            line.text(log10(count), height, label, ha="center", va="bottom", fontsize=8, color=INK)
        (place,) = line.plot(
            [1], [0.13], marker="v", markersize=13, color=TEACHER.color, linestyle="none", clip_on=False
        )
        return {"number": number, "place": place}

    def update(artists, symbols: int, length: int) -> str:
        count, exponent = symbols**length, length * log10(symbols)
        written = f"{count:,}" if exponent < 30 else str(count)
        font, a_line = next((font, a_line) for font, a_line, lines in SIZES if len(written) <= a_line * lines)
        artists["number"].set_text("\n".join(written[i : i + a_line] for i in range(0, len(written), a_line)))
        artists["number"].set_fontsize(font)
        artists["place"].set_xdata([exponent])
        return (
            f"{symbols:,} symbols ({VOCABULARIES[symbols]}) and length {length} make "
            f"{f'{count:,}' if exponent < 9 else power_of_ten(exponent)} sequences. "
            f"To list them at a billion a second takes {duration(exponent - log10(RATE))}."
        )

    return Explorer(
        name=name,
        controls=[
            Choice("symbols V", list(VOCABULARIES), start=7),
            Slider("length L", 1, LONGEST, 1, start=6),
        ],
        create=create,
        update=update,
        presets={
            "exact language": {"symbols V": 7, "length L": 6},
            "surnames": {"symbols V": 27, "length L": 14},
            "a sentence": {"symbols V": 50_257, "length L": 20},
            "a paragraph": {"symbols V": 50_257, "length L": 200},
        },
        size=(760, 320),
    )


def power_of_ten(exponent: float) -> str:
    """10^exponent with two digits.

    >>> power_of_ten(20.04)
    '1.1 × 10^20'
    """
    return f"{10 ** (exponent % 1):.1f} × 10^{int(exponent)}"


def duration(exponent: float) -> str:
    """10^exponent seconds in words.

    >>> duration(-4), duration(2.1), duration(5), duration(9), duration(30)
    ('less than a second', '126 seconds', '28 hours', '32 years', '2.3 × 10^12 times the age of the universe')
    """
    if exponent < 0:
        return "less than a second"
    if exponent < log10(3600):
        return f"{10**exponent:.0f} seconds"
    if exponent < log10(YEAR):
        return f"{10**exponent / 3600:,.0f} hours"
    if exponent < log10(AGE):
        return f"{10**exponent / YEAR:,.0f} years"
    ages = exponent - log10(AGE)
    return f"{f'{10**ages:.0f}' if ages < 2 else power_of_ten(ages)} times the age of the universe"
