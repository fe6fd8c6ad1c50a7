"""Walking a language model's tree along a text: the choice at each node, and what the choices add up to."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from math import exp, log, log10

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from kd_lab.how import forward_kl
from kd_lab.models import next_token_logp
from kd_lab.viz.explorer import Choice, Explorer, Slider, Text
from kd_lab.viz.plots import letter_bars, set_bars
from kd_lab.viz.real_tokens import (
    PROMPTS,
    likeliest,
    move_tokens,
    prompt_choice,
    real_node,
    root_axis,
    token_bars,
)
from kd_lab.viz.style import BASELINE, FAINT, INK, STUDENT, TEACHER
from kd_lab.worlds import Vocabulary
from kd_lab.worlds.next_tokens import load_next_tokens
from kd_lab.worlds.surnames import letters_of

MOST_NATS = 10.0  # the height of the right-hand axis; a taller step is cut there, with an arrow and its number


def walk_explorer(model: nn.Module, vocabulary: Vocabulary, start: str, name: str = "walk") -> Explorer:
    """An explorer that follows a text through a model's tree, one step at a time.

    Left: the model's distribution at the node of this step, with the branch that the text takes in full colour. Right:
    the surprise −log p of every step so far, in nats; their sum is −log p of the path.

    Args:
        model: tokens [B, T] to logits [B, T, V], read in eval mode.
        vocabulary: of the model.
        start: the text in the field at first, of letters of the vocabulary.
        name: of the explorer.
    """
    signs = ["end", *vocabulary.symbols[1:]]

    @lru_cache(maxsize=64)
    @torch.no_grad()
    def conditionals(text: str) -> tuple[list[int], list[list[float]]]:
        """The ids that follow on the path, the end mark last, and log p of every symbol at each of its nodes."""
        tokens = vocabulary.encode([text])
        return tokens[0, 1:].tolist(), next_token_logp(model, tokens[:, :-1], dtype=torch.float64)[0].tolist()

    def create(figure):
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        (bars,) = letter_bars(left, signs)
        (chosen,) = letter_bars(left, signs)
        left.get_xticklabels()[0].set_rotation(90)
        left.set(ylabel="probability", title="the model's next symbol at this node")
        for bar in bars:
            bar.set_alpha(0.35)
        right.set(xlim=(0.4, model.context + 0.6), ylim=(0, 1.08 * MOST_NATS), xticks=[])
        right.set(ylabel="surprise −log p, in nats", title="the steps of the path so far")
        steps = right.bar(range(1, model.context + 1), [0.0] * model.context, width=0.8, **TEACHER.area)
        under = {"ha": "center", "va": "top", "color": INK, "clip_on": False}
        over = {"ha": "center", "va": "bottom", "color": INK, "fontsize": 7.5}
        return {
            "bars": bars,
            "chosen": chosen,
            "steps": steps,
            "signs": [right.text(t, -0.15, "", **under) for t in range(1, model.context + 1)],
            "values": [right.text(t, 0, "", **over) for t in range(1, model.context + 1)],
        }

    def update(artists, step: int, text: str) -> str:
        text = letters_of(text)
        if len(text) >= model.context:
            raise ValueError(
                f"the text {text!r} has {len(text)} letters; expected at most {model.context - 1}, the longest that "
                "the model reads with its end mark: delete some"
            )
        path, logp = conditionals(text)
        step = min(step, len(path))
        row, symbol = logp[step - 1], path[step - 1]
        set_bars(artists["bars"], [exp(value) for value in row])
        set_bars(artists["chosen"], [exp(row[symbol]) if i == symbol else 0.0 for i in range(len(signs))])
        surprise = [-logp[t][path[t]] for t in range(step)]
        shown = surprise + [0.0] * (model.context - step)
        set_bars(artists["steps"], [min(value, MOST_NATS) for value in shown])
        for t, (sign, value) in enumerate(zip(artists["signs"], artists["values"], strict=True)):
            sign.set_text(signs[path[t]] if t < step else "")
            sign.set_fontsize(8 if t < step and not path[t] else 10.5)
            value.set_text(f"{'↑' * (shown[t] > MOST_NATS)}{shown[t]:.1f}" if t < step else "")
            value.set_y(min(shown[t], MOST_NATS))
        return read_out(text, signs, row, symbol, step, surprise)

    return Explorer(
        name=name,
        controls=[Slider("step", 1, model.context, 1, start=min(3, len(start) + 1)), Text("name", start=start)],
        create=create,
        update=update,
        presets={
            "first letter": {"name": start, "step": 1},
            "to the end": {"name": start, "step": len(start) + 1},
            "stop early": {"name": start[:3], "step": 4},
            "no name at all": {"name": start[::-1], "step": len(start) + 1},
        },
        size=(780, 320),
    )


def read_out(text: str, signs: list[str], row: list[float], symbol: int, step: int, surprise: list[float]) -> str:
    """The sentence of the walk at one step."""
    best = max(range(len(row)), key=row.__getitem__)
    likelier = "the likeliest" if best == symbol else f"{of(signs[best])} would be likelier, {share(row[best])}"
    node = f"after “{text[: step - 1]}”" if step > 1 else "at the start"
    path = f"begins with “{text[:step]}”" if step <= len(text) else f"is “{text}”" if text else "is empty"
    total = sum(surprise)
    return (
        f"Step {step}: {node} the model gives {of(signs[symbol])} {share(row[symbol])} ({likelier}). "
        f"Its path so far has log p = −{total:.2f} nats: {one_in(total)} {path}."
    )


def of(sign: str) -> str:
    return "the end mark" if sign == "end" else f"“{sign}”"


def share(logp: float) -> str:
    """A probability as a reader says it.

    >>> share(log(0.314)), share(log(0.0004))
    ('31%', '1 in 2,500')
    """
    return f"{exp(logp):.0%}" if logp >= log(0.01) else f"1 in {exp(-logp):,.0f}"


def one_in(nats: float) -> str:
    """The number of texts that the model writes for one like this.

    >>> one_in(log(1234)), one_in(30.0)
    ('1 text in 1,234', '1 text in 10^13')
    """
    return f"1 text in {exp(nats):,.0f}" if nats < log(1e9) else f"1 text in 10^{nats / log(10):.0f}"


RATE = 1e9  # sequences per second: generous for any machine that also has to look at them
YEAR = 3.156e7  # seconds
AGE = 13.8e9 * YEAR  # of the universe, in seconds
LANDMARKS = {
    "one second": RATE,
    "one year": RATE * YEAR,
    "age of the universe": RATE * AGE,
    "atoms in\nthe universe": 1e80,
}
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
            height = (0.28, 0.52, 0.76, 0.28)[i]  # out of the way of its neighbours
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
            f"To list them at a billion per second takes {duration(exponent - log10(RATE))}."
        )

    return Explorer(
        name=name,
        controls=[
            Choice("symbols V", list(VOCABULARIES), start=2),
            Slider("length L", 1, LONGEST, 1, start=10),
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


SILENT = "no name that it reads goes through here"


def node_explorer(
    beliefs: Mapping[str, Float[np.ndarray, "moments texts V"]],
    texts: Sequence[str],
    symbols: Sequence[str],
    every: int,
    name: str = "node",
) -> Explorer:
    """An explorer of one node while two students learn: above what labels say there, below what the teacher says.

    Args:
        beliefs: "labels" and "teacher", the targets, and for each of two recipes its student's distributions at every
            moment, as `kd_lab.lessons.l00_the_map.experiment.beliefs` gives them.
        texts: the prefixes that lead to the nodes.
        symbols: of the vocabulary, the end mark first.
        every: steps from one moment to the next.
        name: of the explorer.
    """
    with_labels, with_teacher = (key for key in beliefs if key not in ("labels", "teacher"))
    rows = (
        (with_labels, "labels", BASELINE, "student with labels"),
        (with_teacher, "teacher", TEACHER, "student with a teacher"),
    )
    moments = len(beliefs[with_labels])
    signs = ["end", *symbols[1:]]

    def create(figure):
        artists = {}
        for axes, (key, target, look, title) in zip(figure.subplots(2, 1, sharex=True), rows, strict=True):
            shown = (replace(look, label=f"the {target}"), replace(STUDENT, label=title))
            artists[key] = letter_bars(axes, signs, shown)
            axes.set(ylabel="probability", ylim=(0, 0.8))
            artists[f"{key} silent"] = axes.text(0.02, 0.85, SILENT, transform=axes.transAxes, color=INK, visible=False)
        figure.axes[1].get_xticklabels()[0].set_rotation(90)
        return artists

    def update(artists, step: int, text: str) -> str:
        place, moment = texts.index(text), step // every
        said = []
        for key, target, _, title in rows:
            aim, now = beliefs[target][0, place], beliefs[key][moment, place]
            set_bars(artists[key][0], aim)
            set_bars(artists[key][1], now)
            artists[f"{key} silent"].set_visible(not aim.any())
            seen = aim > 0
            gap = float((aim[seen] * np.log(aim[seen] / now[seen])).sum())
            said.append(f"{title}: {f'{gap:.2f} nats from the {target}' if aim.any() else SILENT}")
        return f"After {step} steps, at “{text}”: {said[0]}; {said[1]}."

    return Explorer(
        name=name,
        controls=[
            Slider("step", 0, every * (moments - 1), every, start=0),
            Choice("after", list(texts), start=texts[0]),
        ],
        create=create,
        update=update,
        presets={"trained": {"step": every * (moments - 1)}},
        size=(780, 400),
    )


REAL_TOKENS = 12  # drawn one by one
STUDENTS = {"before": "pruned", "after": "healed"}  # the distillation → the model's name


def real_node_explorer(name: str = "real node") -> Explorer:
    """An explorer of one node of a real LLM's tree: what the label says there, the teacher, and a student.

    Args:
        name: of the explorer.
    """

    def create(figure):
        axes = figure.subplots()
        looks = (
            replace(BASELINE, label="the label", hatch=""),
            replace(TEACHER, label="the teacher"),
            replace(STUDENT, label="the student"),
        )
        artists = token_bars(axes, looks, REAL_TOKENS)
        root_axis(axes)
        axes.legend(loc="upper right", ncols=3)
        return artists

    def update(artists, prompt: str, distilled: str) -> str:
        node = real_node(prompt)
        teacher, student = node.p("teacher"), node.p(STUDENTS[distilled])
        label = np.zeros_like(teacher)
        label[node.actual] = 1
        shown = likeliest(np.maximum(np.maximum(teacher, student), label), REAL_TOKENS)
        move_tokens(artists, node, shown, label, teacher, student)
        gap = float((teacher * np.log(teacher / student)).sum())
        return (
            f"The label is what {node.author}: “{node.pieces[node.actual].strip()}”. The teacher gives it "
            f"{share(log(teacher[node.actual]))}, the student {distilled} its distillation "
            f"{share(log(student[node.actual]))}: {-log(student[node.actual]):.2f} nats from the label, {gap:.2f} "
            f"from the teacher. The mean over {len(node.stored)} prompts is {mean_gap(STUDENTS[distilled]):.2f}."
        )

    return Explorer(
        name=name,
        controls=[prompt_choice(), Choice("student", list(STUDENTS), start="after")],
        create=create,
        update=update,
        presets={"before distillation": {"student": "before"}, "a sure teacher": {"real prompt": list(PROMPTS)[1]}},
        size=(780, 340),
    )


@cache
def mean_gap(model: str) -> float:
    """The mean forward KL of a model from the teacher over all stored prompts, in nats."""
    stored = load_next_tokens()
    student, teacher = (stored.events(name).double() for name in (model, "teacher"))
    return float(forward_kl(student, teacher).mean())
