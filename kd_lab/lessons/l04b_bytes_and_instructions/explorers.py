"""Costs of the designs of one loss: bytes moved, bytes held, and the least time on a GPU, to be explored."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import offset_copy

from kd_lab.viz import Choice, Explorer, Slider
from kd_lab.viz.style import BASELINE, FAINT, INK, Look

SINGLE, KEEPING = "single tile", "tile of weights"
DESIGNS = {
    "eager": BASELINE,
    "chunked": Look("chunked", "#56B4E9", (0, (3, 1.5, 1, 1.5, 1, 1.5)), "D", "xxxx"),
    "streaming": Look("streaming", "#E69F00", (0, (5, 2)), "s", "////"),
    SINGLE: Look(SINGLE, "#000000", "-", "o"),
    KEEPING: Look(KEEPING, "#CC79A7", (0, (1, 1.5)), "v"),
}
"""Ways to compute one loss, by name; each keeps its look in every figure."""

ITEMSIZE = {"bf16": 2, "fp32": 4}
WIDEST = {"bf16": 16_384, "fp32": 12_288}  # columns of a row of each model that the registers hold, for the KLs
VOCABULARIES = {"8,192": 8192, "50,257 (GPT-2)": 50_257, "128,256 (Llama 3)": 128_256, "262,144 (Gemma 3)": 262_144}
EXPONENTIALS = {"eager": 4, "streaming": 4, SINGLE: 4, KEEPING: 2}  # per column

MACHINES = {  # TB/s; fp32 TFLOP/s; fp32 lanes of a multiprocessor
    "T4": (0.32, 8.1, 64),
    "RTX 4090": (1.008, 82.6, 128),
    "A100 80 GB": (2.039, 19.5, 64),
    "H100 SXM": (3.35, 67.0, 128),
    "H200 SXM": (4.8, 67.0, 128),
    "B200": (7.7, 75.0, 128),
}


def exponential_rate(flops: float, lanes: int) -> float:
    """Exponentials per second, in the unit of `flops`: a multiply-add counts two, and 16 units stand beside the lanes.

    >>> exponential_rate(67.0, 128)
    4.1875
    """
    return flops / 2 * 16 / lanes


def bytes_moved(vocabulary: int, dtype: str, eager: float) -> dict[str, float | None]:
    """Bytes per logit of forward KL, forward and backward, by design; None where a row is too wide.

    Args:
        vocabulary: columns.
        dtype: of ITEMSIZE.
        eager: bytes per logit of plain PyTorch, as the ledger counts them.
    """
    size = ITEMSIZE[dtype]
    tile = 3 * size if vocabulary <= WIDEST[dtype] else None
    return {"eager": eager, "chunked": eager, "streaming": 5 * size, SINGLE: tile, KEEPING: tile}


def bytes_held(vocabulary: int, dtype: str, eager: float) -> dict[str, float | None]:
    """Bytes per logit at the peak, beside the logits themselves; only what grows with the number of rows."""
    gradient = ITEMSIZE[dtype]
    tile = gradient if vocabulary <= WIDEST[dtype] else None
    return {"eager": eager, "chunked": gradient, "streaming": gradient, SINGLE: tile}


def cost_dots(axes: Axes, names: Sequence[str], limits: tuple[float, float], label: str) -> SimpleNamespace:
    """One dot per design on a logarithmic axis, where equal distances are equal factors, each with its number.

    Args:
        axes: an empty pair of axes.
        names: of DESIGNS, from top to bottom.
        limits, label: of the horizontal axis.

    Returns:
        The artists that `move_cost_dots` moves.
    """
    places = range(len(names))[::-1]
    axes.set(xscale="log", xlim=limits, ylim=(-0.6, len(names) - 0.4), xlabel=label)
    axes.set_yticks(places, names)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=FAINT, linewidth=0.5, alpha=0.5)
    dots, texts = [], []
    for place, name in zip(places, names, strict=True):
        look = DESIGNS[name]
        dots += axes.plot([], [], marker=look.marker, markersize=9, linestyle="", color=look.color)
        beside = offset_copy(axes.transData, axes.figure, x=8, units="points")
        texts.append(axes.text(limits[0], place, "", va="center", fontsize=9.5, color=INK, transform=beside))
        texts[-1].set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1.0})
    return SimpleNamespace(names=tuple(names), places=tuple(places), left=limits[0], dots=dots, texts=texts)


def move_cost_dots(artists: SimpleNamespace, costs: Mapping[str, float | None], unit: str) -> None:
    """Set the dots to new costs; None is a design that cannot be had here."""
    for name, place, dot, text in zip(artists.names, artists.places, artists.dots, artists.texts, strict=True):
        cost = costs[name]
        dot.set_data([] if cost is None else [cost], [] if cost is None else [place])
        text.set_x(artists.left if cost is None else cost)
        text.set_text(
            "row too wide" if cost is None else f"{cost:,.0f} {unit}" if cost >= 100 else f"{cost:.3g} {unit}"
        )


def draw_roof(
    figure: Figure,
    names: Sequence[str],
    *,
    intensity_limits: tuple[float, float],
    rate_limits: tuple[float, float],
    time_limits: tuple[float, float],
) -> SimpleNamespace:
    """A roofline on the left, the times that it allows on the right.

    Args:
        figure: an empty figure.
        names: of DESIGNS.
        intensity_limits: exponentials per byte.
        rate_limits: exponentials per second, in 10¹².
        time_limits: milliseconds.

    Returns:
        The artists that `move_roof` moves.
    """
    roof, times = figure.subplots(1, 2)
    roof.set(xscale="log", yscale="log", xlim=intensity_limits, ylim=rate_limits)
    roof.set(xlabel="exponentials per byte", ylabel="10¹² exponentials per second")
    line = roof.plot([], [], color=INK, linewidth=2.0)[0]
    points, drops = {}, {}
    for name in names:
        look = DESIGNS[name]
        drops[name] = roof.plot([], [], color=look.color, linestyle=look.linestyle, linewidth=1.0)[0]
        points[name] = roof.plot([], [], color=look.color, marker=look.marker, markersize=9, linestyle="")[0]
    dots = cost_dots(times, names, time_limits, "milliseconds, at least")
    return SimpleNamespace(line=line, points=points, drops=drops, dots=dots, limits=(intensity_limits, rate_limits))


def move_roof(
    artists: SimpleNamespace,
    bandwidth: float,
    peak: float,
    intensities: Mapping[str, float | None],
    times: Mapping[str, float | None],
) -> None:
    """Move the roof to a machine and the designs to their places under it.

    Args:
        artists: from `draw_roof`.
        bandwidth: 10¹² bytes per second.
        peak: 10¹² exponentials per second.
        intensities: design → exponentials per byte; None where it cannot be had.
        times: design → milliseconds.
    """
    (left, right), (floor, _) = artists.limits
    corner = peak / bandwidth
    artists.line.set_data([left, corner, max(right, corner)], [left * bandwidth, peak, peak])
    for name, intensity in intensities.items():
        here = intensity is not None
        artists.points[name].set_visible(here)
        artists.drops[name].set_visible(here)
        if here:
            rate = min(intensity * bandwidth, peak)
            artists.points[name].set_data([intensity], [rate])
            artists.drops[name].set_data([intensity, intensity], [floor, rate])
    move_cost_dots(artists.dots, times, "ms")


def traffic_explorer(moved: Mapping[str, float], held: Mapping[str, float]) -> Explorer:
    """Gigabytes moved and held by a batch, by design.

    Args:
        moved, held: dtype → bytes per logit of plain PyTorch, as the ledger counts them.
    """

    def create(figure: Figure) -> SimpleNamespace:
        left, right = figure.subplots(1, 2)
        names = ["eager", "chunked", "streaming", SINGLE]
        dots = SimpleNamespace(
            moved=cost_dots(left, names, (0.03, 3e5), "GB moved"),
            held=cost_dots(right, names, (0.003, 3e4), "GB held at the peak"),
        )
        right.set_yticklabels([])
        return dots

    def update(artists: SimpleNamespace, thousands: int, name: str, dtype: str) -> str:
        vocabulary = VOCABULARIES[name]
        gigabytes = 1024 * thousands * vocabulary / 1e9
        tables = bytes_moved(vocabulary, dtype, moved[dtype]), bytes_held(vocabulary, dtype, held[dtype])
        moves, holds = ({d: None if b is None else b * gigabytes for d, b in table.items()} for table in tables)
        move_cost_dots(artists.moved, moves, "GB")
        move_cost_dots(artists.held, holds, "GB")
        best = SINGLE if moves[SINGLE] else "streaming"
        return (
            f"{thousands * 1024:,} tokens, V = {vocabulary:,}, {dtype}: eager moves {moves['eager']:,.3g} GB and holds "
            f"{holds['eager']:,.3g} GB; the {best} kernel moves {moves[best]:,.3g} GB, "
            f"{moves['eager'] / moves[best]:.0f} times less, and holds {holds[best]:,.3g} GB, which is the gradient."
        )

    return Explorer(
        name="bytes of a batch",
        controls=[
            Slider("N / 1024", 1, 64, 1, start=8),
            Choice("V", list(VOCABULARIES), start="128,256 (Llama 3)"),
            Choice("logits in", list(ITEMSIZE), start="bf16"),
        ],
        create=create,
        update=update,
        presets={
            "small vocabulary": {"V": "8,192"},
            "long batch": {"N / 1024": 64, "V": "262,144 (Gemma 3)"},
            "fp32": {"logits in": "fp32"},
        },
        size=(760, 260),
    )


def roof_explorer(eager: float) -> Explorer:
    """Where each design stands under a GPU's roof, for 16-bit logits, and the time that this allows.

    Args:
        eager: bytes per 16-bit logit of plain PyTorch, as the ledger counts them.
    """
    names = ["eager", "streaming", SINGLE, KEEPING]

    def update(artists: SimpleNamespace, machine: str, name: str, thousands: int) -> str:
        bandwidth, flops, lanes = MACHINES[machine]
        peak, vocabulary = exponential_rate(flops, lanes), VOCABULARIES[name]
        columns = 1024 * thousands * vocabulary / 1e12
        per_column = {d: b for d, b in bytes_moved(vocabulary, "bf16", eager).items() if d in names}
        intensities = {d: None if b is None else EXPONENTIALS[d] / b for d, b in per_column.items()}
        by_memory = {d: None if b is None else 1e3 * b * columns / bandwidth for d, b in per_column.items()}
        by_arithmetic = {d: 1e3 * EXPONENTIALS[d] * columns / peak for d in names}
        times = {d: None if t is None else max(t, by_arithmetic[d]) for d, t in by_memory.items()}
        move_roof(artists, bandwidth, peak, intensities, times)
        best = SINGLE if times[SINGLE] else "streaming"
        limit = "memory" if by_memory[best] >= by_arithmetic[best] else "exponentials"
        return (
            f"On {machine}, {thousands * 1024:,} tokens, V = {vocabulary:,}: eager needs at least "
            f"{times['eager']:,.3g} ms, the {best} kernel {times[best]:,.3g} ms. Its limit there: {limit}."
        )

    limits = {"intensity_limits": (0.01, 10), "rate_limits": (0.005, 20), "time_limits": (0.003, 3e6)}
    return Explorer(
        name="roofline",
        controls=[
            Choice("GPU", list(MACHINES), start="H100 SXM"),
            Choice("V", list(VOCABULARIES), start="128,256 (Llama 3)"),
            Slider("N / 1024", 1, 64, 1, start=8),
        ],
        create=lambda figure: draw_roof(figure, names, **limits),
        update=update,
        presets={
            "A100": {"GPU": "A100 80 GB"},
            "B200, small vocabulary": {"GPU": "B200", "V": "8,192"},
            "T4": {"GPU": "T4"},
        },
        size=(760, 350),
    )
