"""SmolLM2-135M pruned to 20 and 15 of its 30 layers and healed by distillation: the stored results of lesson 13.

    make real
    python -m kd_lab.lessons.l13_real_llm.experiment [--tokens 64000]

writes results.json beside this file, and the next-token distributions that ship with the library. With the default
budget it takes about an hour on two cores. Each finished part is kept at once, and a training every few steps, in the
user's cache folder: killed at any moment, the same command goes on to the same numbers.
"""

import argparse
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm.auto import tqdm

from kd_lab.classroom import long_runs
from kd_lab.classroom.long_runs import keep, pieces_in, resumed, write
from kd_lab.contracts import stream
from kd_lab.how import sampled, top_k
from kd_lab.how.sparse_file import save_sparse_teacher
from kd_lab.lessons.l13_real_llm import uses
from kd_lab.lessons.l13_real_llm.arms import ARMS, DRAWN, FULL, LABELS, MAIN, TOP, Arm, teacher_of
from kd_lab.lessons.l13_real_llm.pruning import (
    Trunk,
    evenly,
    greedy,
    influences,
    numbers,
    shallower,
    without_least,
)
from kd_lab.lessons.l13_real_llm.results import RESULTS
from kd_lab.lessons.l13_real_llm.smollm import load_smollm, versions
from kd_lab.lessons.l13_real_llm.study import Budget, Study, load_student, save_student
from kd_lab.lessons.l13_real_llm.texts import Written, as_prompt, ask, documentation, questions
from kd_lab.methods import distill
from kd_lab.models import HuggingFace, generate, serve
from kd_lab.models.saved import cache_folder, write_file
from kd_lab.where import TextTeacher
from kd_lab.worlds.next_tokens import STORED, save_next_tokens

SAMPLES = 2  # texts that are kept of each student
CHECKPOINT_EVERY = 40  # steps; a file of 0.9 GB each time


@dataclass(eq=False)
class Run:
    """The command while it runs: its folder, and the parts that are done."""

    budget: Budget
    folder: Path
    partial: Path
    head: dict[str, Any]
    load: Callable[[], HuggingFace] = load_smollm
    distributions: Path | None = None
    done: list[dict[str, Any]] = field(default_factory=list)

    @cached_property
    def teacher(self) -> HuggingFace:
        return self.load()

    @cached_property
    def study(self) -> Study:
        return Study.of(self.teacher, json.loads((self.folder / "texts.json").read_text("utf-8")), self.budget)

    def found(self, **wanted: Any) -> dict[str, Any] | None:
        """A part that is done."""
        return next((part for part in self.done if wanted.items() <= part.items()), None)

    def add(self, part: dict[str, Any], start: float) -> None:
        """Keep a part that took from `start` until now."""
        self.done.append(part | {"seconds": round(time.perf_counter() - start, 1)})
        keep(self.partial, self.done[-1])

    def kept_layers(self, rule: str, size: int) -> list[int]:
        return self.found(part="rule", rule=rule, layers=self.budget.layers[size])["kept"]

    def student(self, name: str) -> HuggingFace:
        """A healed student, from its file."""
        return load_student(self.teacher, self.found(part="arm", name=name)["kept"], self.folder / f"{name}.st")


# ---- parts -----------------------------------------------------------------------------------------------------------


def write_texts(run: Run) -> None:
    """The teacher answers questions behind an endpoint; passages of documentation are cut."""
    start, budget, path = time.perf_counter(), run.budget, run.folder / "texts.json"
    tokenizer = run.teacher.tokenizer
    prompts = [as_prompt(question) for question in questions()]
    asked = prompts[: budget.held_out + budget.rows]
    stop = tokenizer.backend.decode([tokenizer.end])
    with serve(run.teacher, tokenizer) as url:
        text_teacher = TextTeacher(url, timeout=1200.0, retries=0, stop=(stop,))
        written = ask(text_teacher, asked, budget.context, budget.seed)
    train, held_out = documentation(tokenizer, budget.context)
    texts = {
        "written": _split(written, set(asked[: budget.held_out])),
        "passages": {"train": train[: budget.rows], "held_out": held_out[: budget.held_out]},
    }
    write_file(path, json.dumps(texts).encode())
    run.__dict__.pop("study", None)
    counts = {name: getattr(written, name) for name in ("unfinished", "refused", "empty")}
    rows = {kind: {part: len(texts[kind][part]) for part in texts[kind]} for kind in texts}
    counted = int(run.study.world.train.mask.sum())
    held = int(run.study.world.held_out.mask.sum())
    run.add({"part": "texts", "asked": len(asked)} | counts | rows | {"counted": [counted, held]}, start)


def _split(written: Written, held_out: set[str]) -> dict[str, list[tuple[str, str]]]:
    return {
        "train": [pair for pair in written.pairs if pair[0] not in held_out],
        "held_out": [pair for pair in written.pairs if pair[0] in held_out],
    }


def measure_layers(run: Run) -> None:
    """The importance of each layer, then what each rule of choosing is worth before any training."""
    start, layers = time.perf_counter(), run.budget.layers
    trunk = Trunk(run.teacher, run.study.calibration)
    path, shape = run.folder / "rounds.jsonl", {"date": "", "layers": len(trunk.layers)}
    known = resumed(path, shape)
    with tqdm(total=len(trunk.layers) - min(layers), initial=len(known), desc="layers", leave=False) as bar:

        def note(costs: list[float]) -> None:
            keep(path, costs)
            bar.update()

        _, gone, rounds = greedy(trunk, min(layers), known, note)
    bends = influences(trunk)
    if run.found(part="importance") is None:  # killed between two rules, it is known already
        run.add({"part": "importance", "gone": gone, "rounds": _rounded(rounds), "influence": _rounded(bends)}, start)
    depth = len(bends)
    for size in layers:
        rules = {
            "measured": sorted(set(range(depth)) - set(gone[: depth - size])),
            "measured once": without_least(rounds[0], size),
            "influence": without_least(bends, size),
            "evenly": evenly(depth, size),
            "first": list(range(size)),
        }
        for rule, kept in rules.items():
            if run.found(part="rule", rule=rule, layers=size) is None:
                start = time.perf_counter()
                found = run.study.measure(shallower(run.teacher, kept), rows=4)
                run.add({"part": "rule", "rule": rule, "layers": size, "kept": kept, "measures": found}, start)


def keep_logits(run: Run) -> None:
    """The teacher reads all training texts once; its top k and draws go to disk."""
    budget, texts = run.budget, run.study.world.train
    k = min(budget.top_k, run.teacher.vocab_size)
    drawn = stream(budget.seed, "draws")
    makers = {
        "top_k": lambda logits: top_k(logits, k),
        "sampled": lambda logits: sampled(logits, budget.samples, generator=drawn),
    }
    start, parts = time.perf_counter(), {name: [] for name in makers}
    with torch.no_grad():
        for rows in tqdm(torch.arange(len(texts)).split(8), desc="caches", leave=False):
            logits = run.teacher(texts.inputs[rows])
            for name, make in makers.items():
                parts[name].append(make(logits))
    for name, some in parts.items():
        fields = {name: torch.cat([getattr(one, name) for one in some]) for name in ("ids", "logp")}
        if some[0].tail_logp is not None:
            fields["tail_logp"] = torch.cat([one.tail_logp for one in some])
        size = save_sparse_teacher(replace(some[0], **fields), run.folder / f"{name}.safetensors")
        if run.found(part="cache", name=name) is None:  # killed between the two, the texts are read once more
            run.add({"part": "cache", "name": name, "bytes": size, "positions": texts.inputs.numel()}, start)
        start = time.perf_counter()


def heal(run: Run, arm: Arm) -> None:
    """Train one arm, keep its layers in half precision, and measure what the file holds."""
    start, budget, study = time.perf_counter(), run.budget, run.study
    kept, path = run.kept_layers(arm.rule, arm.size), run.folder / f"{arm.name}.st"
    student = shallower(run.teacher, kept)
    world = study.spoken_world if arm.spoken else study.world
    result = distill(
        student,
        teacher_of(arm, study, run.folder),
        world,
        arm.recipe(study),
        steps=study.steps(budget.tokens // arm.share, world),
        seed=budget.seed,
        batch_size=budget.batch_size,
        learning_rate=budget.learning_rate,
        autocast=torch.bfloat16 if budget.bfloat16 else None,
        checkpoint=run.folder / "runs" / arm.name,
        checkpoint_every=CHECKPOINT_EVERY,
    )
    if result.interrupted:
        raise KeyboardInterrupt
    size = save_student(student, kept, path)
    student = load_student(run.teacher, kept, path)
    history = result.history
    part = {
        "part": "arm", "name": arm.name, "layers": len(kept), "kept": kept, "weights": numbers(student),
        "steps": len(history["step"]), "tokens": int(history["tokens"][-1]),
        "training_seconds": round(float(history["seconds"][-1]), 1), "bytes": size,
        "loss": _rounded(history["loss"]), "measures": study.measure(student), "samples": samples(run, student),
    }  # fmt: skip
    run.add(part, start)
    (run.folder / "runs" / arm.name / "run.safetensors").unlink(missing_ok=True)


def samples(run: Run, model: HuggingFace) -> list[dict[str, str]]:
    """Continuations of the first held-out prompts, drawn at temperature 0.7 with the same chance for every model."""
    found, batch = [], run.study.world.held_out
    for row in range(min(SAMPLES, run.study.written[1])):
        prompt = batch.tokens[row, : int(batch.prompt_lengths[row])]
        new = min(run.budget.new_tokens, model.context - len(prompt))
        text = generate(model, prompt[None], new, generator=stream(row, "samples"), temperature=0.7)
        backend = model.tokenizer.backend
        answer = model.tokenizer.decode(text[:, len(prompt) :])[0]
        found.append({"prompt": backend.decode(prompt, skip_special_tokens=True), "answer": answer})
    return found


def compare_before(run: Run) -> None:
    """The teacher itself, and the pruned models before any training."""
    if run.found(part="reference", name="teacher") is None:
        start = time.perf_counter()
        part = {"part": "reference", "name": "teacher", "layers": len(run.teacher.model.get_decoder().layers)}
        facts = {"weights": numbers(run.teacher), "bytes": uses.half_bytes(run.teacher)}
        facts |= {"vocabulary": run.teacher.vocab_size, "width": run.teacher.config.hidden_size}
        run.add(
            part | facts | {"measures": run.study.measure(run.teacher), "samples": samples(run, run.teacher)}, start
        )
    for size, layers in enumerate(run.budget.layers):
        if run.found(part="reference", layers=layers) is None:
            start = time.perf_counter()
            pruned = shallower(run.teacher, run.kept_layers("measured", size))
            part = {"part": "reference", "name": f"pruned to {layers}", "layers": layers, "weights": numbers(pruned)}
            facts = {"bytes": uses.half_bytes(pruned)}
            run.add(part | facts | {"measures": run.study.measure(pruned), "samples": samples(run, pruned)}, start)


def count_memory(run: Run) -> None:
    """The loss alone, with its logits and without them."""
    for positions in (512, 1024):
        for materialise in (False, True):
            if run.found(part="memory", positions=positions, materialised=materialise) is None:
                start = time.perf_counter()
                found = uses.loss_memory(run.teacher.vocab_size, run.teacher.config.hidden_size, positions, materialise)
                run.add({"part": "memory"} | {f"loss_{k}" if k == "seconds" else k: v for k, v in found.items()}, start)


def quantize(run: Run) -> None:
    """Fewer bits for the teacher and for the healed student."""
    for name, model in (("teacher", run.teacher), (MAIN, run.student(MAIN))):
        for bits in (8, 4):
            if run.found(part="quantized", name=name, bits=bits) is None:
                start = time.perf_counter()
                small, size = uses.quantized(model, bits)
                found = run.study.measure(small)
                run.add({"part": "quantized", "name": name, "bits": bits, "bytes": size, "measures": found}, start)


def speculate(run: Run) -> None:
    """The healed student drafts for its teacher."""
    draft, batch = run.student(MAIN), run.study.world.held_out
    if run.found(part="calls") is None:
        start = time.perf_counter()
        prompt = batch.tokens[0, : int(batch.prompt_lengths[0])]
        widths = (1, *(guesses + 1 for guesses in uses.GUESSES))
        part = {
            name: uses.call_seconds(model, prompt, widths) for name, model in (("teacher", run.teacher), (MAIN, draft))
        }
        run.add(
            {"part": "calls"} | {name: {str(w): round(s, 5) for w, s in found.items()} for name, found in part.items()},
            start,
        )
    for row in tqdm(range(min(run.budget.spoken, run.study.written[1])), desc="speculation", leave=False):
        if run.found(part="speculation", row=row) is None:
            start = time.perf_counter()
            run.add({"part": "speculation"} | uses.speculation(run.study, draft, row), start)


def time_steps(run: Run) -> None:
    """Processor seconds of a training step with each kind of teacher: a clock on the wall counts the neighbours, too.

    The arms take turns, two steps at a time; the first turn only warms up.
    """
    start, budget, study = time.perf_counter(), run.budget, run.study
    student = shallower(run.teacher, run.kept_layers("measured", 0))
    arms = [arm for arm in ARMS if arm.name in (FULL, TOP, DRAWN, LABELS)]
    taken: dict[str, list[float]] = {arm.name: [] for arm in arms}
    for turn in range(3):
        for arm in arms:
            recipe, teacher = arm.recipe(study), teacher_of(arm, study, run.folder)
            before = time.process_time()
            distill(
                student,
                teacher,
                study.world,
                recipe,
                steps=2,
                seed=turn,
                batch_size=budget.batch_size,
                autocast=torch.bfloat16 if budget.bfloat16 else None,
                progress=False,
            )
            taken[arm.name].append(round((time.process_time() - before) / 2, 4))
    run.add({"part": "step", "processor_seconds": {name: some[1:] for name, some in taken.items()}}, start)


def store_distributions(run: Run) -> None:
    """The file of next-token distributions that ships with the library."""
    start = time.perf_counter()
    pruned = shallower(run.teacher, run.kept_layers("measured", 0))
    stored = uses.next_tokens(run.study, {"healed": run.student(MAIN), "pruned": pruned})
    path = run.distributions or run.folder / "next_tokens.safetensors"
    run.add({"part": "distributions", "bytes": save_next_tokens(stored, path), "prompts": len(stored)}, start)


# ---- the command -----------------------------------------------------------------------------------------------------


def parts() -> list[tuple[str, Callable[[Run], bool], Callable[[Run], None]]]:
    """Name, whether it is done, and the work, in order. A part that is half done goes on where it stopped."""
    by_name = {arm.name: arm for arm in ARMS}

    def once(**wanted: Any) -> Callable[[Run], bool]:
        return lambda run: run.found(**wanted) is not None

    def training(arm: Arm) -> tuple[str, Callable[[Run], bool], Callable[[Run], None]]:
        return arm.name, once(part="arm", name=arm.name), lambda run: heal(run, arm)

    names = list(by_name)
    cut = names.index(MAIN) + 1
    return [
        ("texts", once(part="texts"), write_texts),
        ("importance", lambda run: len([p for p in run.done if p["part"] == "rule"]) == 10, measure_layers),
        ("references", lambda run: len([p for p in run.done if p["part"] == "reference"]) == 3, compare_before),
        ("caches", once(part="cache", name="sampled"), keep_logits),
        ("memory", once(part="memory", positions=1024, materialised=True), count_memory),
        *(training(by_name[name]) for name in names[:cut]),
        ("distributions", once(part="distributions"), store_distributions),
        ("fewer bits", once(part="quantized", name=MAIN, bits=4), quantize),
        ("speculation", lambda run: _spoken(run) == min(run.budget.spoken, run.study.written[1]), speculate),
        ("seconds", once(part="step"), time_steps),
        *(training(by_name[name]) for name in names[cut:]),
    ]


def _spoken(run: Run) -> int:
    return len([part for part in run.done if part["part"] == "speculation"])


def _rounded(values: Any) -> Any:
    return [_rounded(value) if hasattr(value, "__iter__") else round(float(value), 5) for value in values]


def about(budget: Budget) -> dict[str, Any]:
    """The head of the file: what made it."""
    options = f"--tokens {budget.tokens}" + ("" if budget.bfloat16 else " --float32")
    return long_runs.head(
        f"python -m kd_lab.lessons.l13_real_llm.experiment {options}",
        versions=versions(),
        threads=torch.get_num_threads(),
        budget=budget.facts(),
        arms=[arm.name for arm in ARMS],
    )


def work(run: Run) -> None:
    """All parts that are not done yet."""
    run.folder.mkdir(parents=True, exist_ok=True)
    todo = parts()
    with tqdm(todo, desc="parts") as bar:
        for name, is_done, do in bar:
            bar.set_postfix_str(name)
            if not is_done(run):
                do(run)
    shutil.rmtree(run.folder / "runs", ignore_errors=True)  # checkpoints of trainings that are done


def folder_of(budget: Budget) -> Path:
    """Where the command keeps what it has done so far. `python -m kd_lab cache` knows it by this name."""
    return cache_folder() / f"lesson-13-{budget.tokens}{'' if budget.bfloat16 else '-float32'}"


def main(arguments: list[str] | None = None, load: Callable[[], nn.Module] = load_smollm) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=Budget.tokens, help="that the longest arm trains on")
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--distributions", type=Path, help="default: the library's file, with the default output")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--float32", action="store_true", help="train in it throughout: for CPUs without bfloat16")
    parser.add_argument("--store-unfinished", action="store_true", help="write what is done so far and train nothing")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    budget = Budget.of(options.tokens, bfloat16=not options.float32)
    head, partial = about(budget), options.output.with_suffix(".partial")
    store = options.distributions or (STORED if options.output == RESULTS else None)
    run = Run(budget, folder_of(budget), partial, head, load, store)
    if options.store_unfinished:  # reads and touches nothing: the command itself may be at work
        _, run.done = pieces_in(partial)
    else:
        run.done = resumed(partial, head)
        work(run)
    missing = [name for name, is_done, _ in parts() if not is_done(run)]
    write(options.output, head | {"missing": missing}, run.done)
    if not missing:
        partial.unlink()
    print(f"{len(run.done)} parts in {options.output}" + (f"; not yet: {', '.join(missing)}" if missing else ""))


if __name__ == "__main__":
    main()
