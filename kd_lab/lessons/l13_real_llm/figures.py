"""The still pictures and tables of lesson 13. All numbers come from the stored results."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from kd_lab.lessons.l13_real_llm.results import Results
from kd_lab.measure.acceptance import speedup, tokens_per_call
from kd_lab.measure.interval import mean_interval
from kd_lab.viz.style import BASELINE, INK, STUDENT, TEACHER, course_style, new_figure

KINDS = ("its own texts", "documentation")
RULES = {
    "measured": "measured, again after each",
    "measured once": "measured once",
    "influence": "cosine of the stream",
    "evenly": "evenly spaced",
    "first": "the last layers go",
}


def own_and_other(results: Results, name: str, measure: str = "forward_kl") -> tuple[np.ndarray, np.ndarray]:
    """A measure on held-out texts of the teacher, and on held-out documentation."""
    values = results.measure(name, measure)
    return values[: results.own_texts], values[results.own_texts :]


def arms_figure(results: Results, names: Sequence[str], before: str) -> Figure:
    """Held-out KL of each student over that of the model `before`, text by text, for the two kinds of text apart.

    Geometric means with 95 % intervals over texts: a ratio for each text takes out that some texts are harder.
    """
    figure = new_figure(760, 110 + 34 * len(names))
    with course_style():
        axes = figure.subplots()
        axes.axvline(1, color=BASELINE.color, linestyle=BASELINE.linestyle, label="pruned, not healed")
        axes.axvline(0, color=INK, linewidth=1)
        for i, look in enumerate((TEACHER, STUDENT)):
            for row, name in enumerate(names):
                ratio = own_and_other(results, name)[i] / own_and_other(results, before)[i]
                mean, half = mean_interval(np.log(ratio))
                spread = np.exp([[mean], [mean + half]]) - np.exp([[mean - half], [mean]])
                style = {"fmt": look.marker, "color": look.color, "capsize": 3, "markersize": 6}
                label = KINDS[i] if row == 0 else None
                axes.errorbar(np.exp(mean), row + (i - 0.5) * 0.25, xerr=spread, label=label, **style)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.set_xlim(-0.02, max(1.12, axes.get_xlim()[1]))
        axes.set_xlabel("KL from the teacher, as a share of the pruned model's (0: the teacher itself)")
        figure.legend(loc="outside lower center", ncols=3)
    return figure


def rules_figure(results: Results) -> Figure:
    """The KL of pruned models before any training: a group per rule, a bar per depth, with intervals over texts."""
    sizes = results.about["budget"]["layers"]
    figure = new_figure(760, 320)
    with course_style():
        axes = figure.subplots()
        for i, (size, look) in enumerate(zip(sizes, (TEACHER, BASELINE), strict=True)):
            found = [mean_interval(rule_kl(results, rule, size)) for rule in RULES]
            means, halves = map(np.array, zip(*found, strict=True))
            places = np.arange(len(RULES)) + (i - 0.5) * 0.38
            axes.bar(places, means, 0.36, label=f"{size} layers stay", **look.area)
            axes.errorbar(places, means, yerr=halves, fmt="none", color=INK, capsize=3)
            for place, mean, half in zip(places, means, halves, strict=True):
                axes.annotate(f"{mean:.1f}", (place, mean + half), (0, 3), textcoords="offset points", ha="center")
        axes.set_xticks(range(len(RULES)), [name.replace(", ", ",\n") for name in RULES.values()])
        axes.set(ylabel="KL, not healed (nats per token)", ylim=(0, 1.08 * axes.get_ylim()[1]))
        axes.legend(loc="upper left")
    return figure


def rule_kl(results: Results, rule: str, size: int) -> Float[np.ndarray, " texts"]:
    """Held-out forward KL of a pruned model, a number per text."""
    return np.array(results.one("rule", rule=rule, layers=size)["measures"]["forward_kl"])


def speculation_rows(results: Results, draft: str) -> list[dict[str, float]]:
    """For each number of guesses: predicted and measured tokens per call, and the ratio of plain to drafted time.

    The prediction takes the acceptance on held-out texts of the teacher and the seconds of single calls; the
    measurement is a ratio per prompt.
    """
    alpha = float(np.mean(own_and_other(results, draft, "acceptance")[0]))
    calls = results.one("calls")
    one = calls["teacher"]["1"]
    rows = []
    for place, guesses in enumerate(run["guesses"] for run in results.all("speculation")[0]["runs"]):
        cost, verification = calls[draft]["1"] / one, calls["teacher"][str(guesses + 1)] / one
        ratios, new, made = [], 0, 0
        for part in results.all("speculation"):
            run = part["runs"][place]
            plain = part["plain_seconds"] / part["plain_tokens"]
            ratios.append(plain / (run["seconds"] / run["tokens"]))
            new, made = new + run["tokens"], made + run["calls"]
        rows.append(
            {
                "guesses": guesses, "alpha": alpha, "cost": cost, "verification": verification,
                "predicted_tokens": tokens_per_call(alpha, guesses), "tokens": new / made,
                "predicted": speedup(alpha, guesses, cost, verification), "ratios": ratios,
            }
        )  # fmt: skip
    return rows


# ---- tables ----------------------------------------------------------------------------------------------------------


def cache_table(results: Results) -> str:
    """Markdown: what is kept of the teacher at each position, and what it takes on disk."""
    budget, teacher = results.about["budget"], results.one("reference", name="teacher")
    vocabulary, width = teacher["vocabulary"], teacher["width"]
    rows = [
        ("all logits, 16 bits", 2 * vocabulary, ""),
        ("the last hidden state, 16 bits", 2 * width, ""),
    ]
    for name, title in (("top_k", f"top {budget['top_k']} and the rest"), ("sampled", f"{budget['samples']} draws")):
        part = results.one("cache", name=name)
        rows.append((title, part["bytes"] / part["positions"], f"{part['bytes'] / 1e6:.1f} MB"))
    lines = ["| kept of the teacher | bytes per position | measured file |", "|---|---:|---:|"]
    return "\n".join([*lines, *(f"| {title} | {size:,.0f} | {file} |" for title, size, file in rows)])


def worth_table(results: Results, names: Sequence[str]) -> str:
    """Markdown: size and worth of each model, means over all held-out texts with their 95 % half widths."""
    lines = [
        "| model | layers | million weights | tokens | KL(p‖q) | KL(q‖p) | perplexity | same favourite | Σ min(p, q) |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name in names:
        kind = "arm" if results.has("arm", name=name) else "reference"
        part = results.one(kind, name=name)
        cells = [_with_interval(part["measures"][measure]) for measure in ("forward_kl", "reverse_kl")]
        cells.append(f"{np.exp(np.mean(part['measures']['surprise'])):.1f}")
        cells += [f"{np.mean(part['measures'][measure]):.1%}" for measure in ("agreement", "acceptance")]
        tokens = f"{part['tokens']:,}" if kind == "arm" else ""
        lines.append(
            f"| {name} | {part['layers']} | {part['weights'] / 1e6:.0f} | {tokens} | " + " | ".join(cells) + " |"
        )
    return "\n".join(lines)


def _with_interval(values: Sequence[float]) -> str:
    mean, half = mean_interval(values)
    return f"{mean:.3f} ± {half:.3f}"


def stack_table(results: Results, draft: str) -> str:
    """Markdown: bits, bytes and KL of teacher and student, and the sum that predicts the stack."""
    healed = results.measure(draft)
    lines = [
        "| model | bits | MB | KL(p‖q) | predicted: student + bits | measured − predicted |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name in ("teacher", draft):
        for bits in (8, 4):
            part = results.one("quantized", name=name, bits=bits)
            found = np.array(part["measures"]["forward_kl"])
            predicted = ["", ""]
            if name == draft:
                alone = np.array(results.one("quantized", name="teacher", bits=bits)["measures"]["forward_kl"])
                predicted = [f"{np.mean(healed + alone):.3f}", _with_interval((found - healed - alone).tolist())]
            cells = [name, str(bits), f"{part['bytes'] / 1e6:.0f}", _with_interval(found.tolist()), *predicted]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def memory_table(results: Results) -> str:
    """Markdown: the peak that the loss alone adds, with logits held and without."""
    lines = [
        "| positions | one side's logits | peak, logits held, plain formula | peak, never held |",
        "|---:|---:|---:|---:|",
    ]
    for positions in sorted({part["positions"] for part in results.all("memory")}):
        held, never = (
            results.one("memory", positions=positions, materialised=materialised) for materialised in (True, False)
        )
        cells = [held["logits"], held["peak"], never["peak"]]
        shown = ["not counted" if one is None else f"{one / 2**20:,.0f} MiB" for one in cells]
        lines.append(f"| {positions:,} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def side_by_side(results: Results, names: Sequence[str], prompt: int = 0) -> str:
    """Markdown: the answers of several models to one held-out prompt."""
    lines = []
    for name in names:
        kind = "arm" if results.has("arm", name=name) else "reference"
        sample = results.one(kind, name=name)["samples"][prompt]
        if not lines:
            asked = sample["prompt"].replace("user\n", "").replace("assistant", "").strip()
            lines.append(f"*{asked}*\n")
        answer = " ".join(sample["answer"].split()).replace("|", "\\|").replace("*", "\\*").replace("#", "\\#")
        lines.append(f"**{name}** {answer}\n")
    return "\n".join(lines)
