"""The explorers of lesson 13: stored distributions of a real model under any divergence, and layers that go."""

from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
from jaxtyping import Float
from torch import Tensor

from kd_lab.how.divergences import DIVERGENCES as FORMULAS
from kd_lab.lessons.l13_real_llm.results import Results
from kd_lab.viz import Choice, Explorer, Slider
from kd_lab.viz.plots import letter_bars, set_bars
from kd_lab.viz.real_tokens import OTHERS, spelled
from kd_lab.viz.style import BASELINE, DIVERGENCES, STUDENT, TEACHER
from kd_lab.worlds.next_tokens import NextTokens, load_next_tokens

BETAS = {"jsd": 0.5, "skew_kl": 0.1, "skew_reverse_kl": 0.9}
NAMES = {DIVERGENCES[name].label: name for name in FORMULAS}
SHOWN = 10  # bars, the last of them for all other tokens
COUNTS = (1, 2, 4, 8, 16, 32)  # tokens that the loss keeps


def divergences(
    stored: NextTokens, model: str, name: str, temperature: float = 1.0, k: int | None = None
) -> Float[Tensor, " N"]:
    """A divergence of a student's distribution from the teacher's at every prompt, in nats, without the factor τ².

    Of `k` tokens and one event for the rest; None: of all that are stored, which is nearly the whole vocabulary's.
    """
    student, teacher = (stored.events(one, temperature, k).double() for one in (model, stored.models[0]))
    return FORMULAS[name](student, teacher, BETAS.get(name, 0.5))


@cache
def _stored() -> NextTokens:
    return load_next_tokens()


def prompts_explorer() -> Explorer:
    """One divergence, temperature and number of kept tokens at a time: all prompts, pruned against healed."""
    stored = _stored()

    def create(figure) -> SimpleNamespace:
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))
        limit = (1e-4, 20)
        dots = {}
        for model, look in (("pruned", BASELINE), ("healed", STUDENT)):
            (dots[model],) = left.plot([], [], look.marker, color=look.color, markersize=4, alpha=0.6, label=model)
        left.plot(limit, limit, color="#9a9a9a", linewidth=1)
        left.set(xscale="log", yscale="log", xlim=limit, ylim=limit)
        left.set(xlabel="with all stored tokens (nats)", ylabel="with the k that are kept (nats)")
        left.legend(loc="upper left")
        bars = letter_bars(right, [""] * SHOWN, (TEACHER, replace(STUDENT, label="healed")))
        right.tick_params(axis="x", rotation=55)
        right.legend(loc="upper center")
        return SimpleNamespace(dots=dots, bars=bars, right=right)

    def update(artists: SimpleNamespace, label: str, heat: str, count: str) -> str:
        name, temperature, k = NAMES[label], float(heat), int(count)
        whole, kept = {}, {}
        for model, points in artists.dots.items():
            whole[model] = divergences(stored, model, name, temperature).clamp_min(1e-4)
            kept[model] = divergences(stored, model, name, temperature, k).clamp_min(1e-4)
            points.set_data(whole[model].numpy(), kept[model].numpy())
        worst = int(whole["healed"].argmax())
        _move_bars(artists, stored, worst, temperature)
        share = {model: float(kept[model].mean() / whole[model].mean()) for model in kept}
        tokens = "1 token" if k == 1 else f"{k} tokens"
        return (
            f"{label} at τ = {temperature:g}, without the factor τ², mean over {len(stored)} prompts: "
            f"pruned {whole['pruned'].mean():.3f}, healed {whole['healed'].mean():.3f} nats. "
            f"A loss of {tokens} and the rest sees {share['pruned']:.0%} and "
            f"{share['healed']:.0%} of it."
        )

    return Explorer(
        name="200 real prompts",
        controls=[
            Choice("divergence", list(NAMES), start=DIVERGENCES["forward_kl"].label),
            Choice("temperature τ", [f"{one:g}" for one in stored.temperatures], start="1"),
            Choice("tokens kept", [str(count) for count in COUNTS], start="8"),
        ],
        create=create,
        update=update,
        presets={
            "reverse KL": {"divergence": DIVERGENCES["reverse_kl"].label},
            "one token": {"tokens kept": "1"},
            "hot": {"temperature τ": "4"},
            "hot, 32 tokens": {"temperature τ": "4", "tokens kept": "32"},
        },
        size=(760, 380),
    )


def _move_bars(artists: SimpleNamespace, stored: NextTokens, prompt: int, temperature: float) -> None:
    for bars, model in zip(artists.bars, (stored.models[0], "healed"), strict=True):
        set_bars(bars, stored.events(model, temperature, SHOWN - 1)[prompt].exp().tolist())
    names = [spelled(stored.pieces[int(i)]) for i in stored.ids[prompt, : SHOWN - 1]]
    end = " ".join(stored.prompts[prompt].split())[-24:].replace("$", r"\$")
    artists.right.set_title(f"largest gap left: after …{end}", loc="left", fontsize=9.5)
    artists.right.set_xticklabels([*names, OTHERS])


def _place(gone: list[int], depth: int, removed: int) -> int:
    """Where the layer that goes after `removed` others stands among those that are still there."""
    return [layer for layer in range(depth) if layer not in gone[:removed]].index(gone[removed])


def layers_explorer(results: Results) -> Explorer:
    """The rounds of the greedy pruning: after so many layers have gone, what each of the others would cost."""
    found = results.one("importance")
    rounds, gone = found["rounds"], found["gone"]
    depth = len(rounds[0])
    lost = [0.0, *(costs[_place(gone, depth, i)] for i, costs in enumerate(rounds))]  # after so many removals
    top = 1.15 * max(max(costs) - before for costs, before in zip(rounds, lost, strict=False))

    def create(figure) -> SimpleNamespace:
        axes = figure.subplots()
        bars = axes.bar(range(depth), np.full(depth, 1e-3), **TEACHER.area)
        (crosses,) = axes.plot([], [], "x", color="#6b6b6b", markersize=7, label="has gone")
        (chosen,) = axes.plot([], [], "v", color=STUDENT.color, markersize=9, label="goes next")
        axes.set(yscale="log", ylim=(0.05, top), xlim=(-0.6, depth - 0.4))
        axes.set(xlabel="layer", ylabel="KL added (nats per token)")
        axes.legend(loc="upper center", ncols=2)
        return SimpleNamespace(bars=bars, crosses=crosses, chosen=chosen)

    def update(artists: SimpleNamespace, removed: int) -> str:
        layers = [layer for layer in range(depth) if layer not in gone[:removed]]
        costs = dict(zip(layers, rounds[removed], strict=True))
        for layer, bar in enumerate(artists.bars):
            bar.set_height(costs[layer] - lost[removed] if layer in costs else 1e-3)
        artists.crosses.set_data(gone[:removed], [0.06] * removed)
        best = gone[removed]
        artists.chosen.set_data([best], [(costs[best] - lost[removed]) * 1.25])
        costly = max(costs, key=costs.get)
        return (
            f"{removed} of {depth} layers have gone, at {lost[removed]:.2f} nats per token from the whole model. "
            f"Without layer {best} as well it is {costs[best]:.2f} nats, the least of all; without layer {costly} it "
            f"would be {costs[costly]:.2f}."
        )

    return Explorer(
        name="layers that go",
        controls=[Slider("layers gone", 0, len(rounds) - 1, 1, start=0)],
        create=create,
        update=update,
        presets={"five have gone": {"layers gone": 5}, "20 are left": {"layers gone": depth - 20}},
        size=(760, 320),
    )
