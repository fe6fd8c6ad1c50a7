"""Wrong answers to the exercises of lesson 05, written as a learner would write them."""

import re

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, kl_div

from kd_lab.classroom.diagnosis import diagnose, find_exercise
from kd_lab.classroom.lesson import find_lessons

# ---- 05.1


def written(model, prompts, new_tokens, pick, stop=True):
    rows = []
    for prompt in prompts:
        row = prompt
        while len(row) < len(prompt) + new_tokens:
            over = stop and 0 in row[len(prompt) :].tolist()
            new = torch.tensor([0]) if over else pick(model(row[None])[:, -1])
            row = torch.cat([row, new])
        rows.append(row)
    return torch.stack(rows)


def test_roll_out_names_the_forgotten_end(assert_rejects):
    def end_is_padding(model, prompts, new_tokens, pick):
        tokens = written(model, prompts, new_tokens, pick)
        mask = tokens[:, 1:] != 0
        mask[:, : prompts.shape[1] - 1] = False
        return tokens, mask

    assert_rejects("05.1", end_is_padding, "leaves the end mark out")


def test_roll_out_names_counted_padding(assert_rejects):
    def everything(model, prompts, new_tokens, pick):
        tokens = written(model, prompts, new_tokens, pick)
        mask = torch.ones_like(tokens[:, 1:], dtype=torch.bool)
        mask[:, : prompts.shape[1] - 1] = False
        return tokens, mask

    assert_rejects("05.1", everything, "counts the padding")


def test_roll_out_names_the_text_behind_the_end(assert_rejects):
    def never_stops(model, prompts, new_tokens, pick):
        tokens = written(model, prompts, new_tokens, pick, stop=False)
        counted = find_exercise("05.1").reference(model, prompts, new_tokens, pick)[1]
        return tokens, counted

    assert_rejects("05.1", never_stops, "no longer text")


def test_roll_out_names_the_counted_prompt(assert_rejects):
    def from_the_left(model, prompts, new_tokens, pick):
        tokens = written(model, prompts, new_tokens, pick)
        ends = (tokens[:, 1:] == 0).long()
        return tokens, ends.cumsum(1) - ends == 0

    assert_rejects("05.1", from_the_left, "tokens of the prompt")


def test_roll_out_names_the_beginning_taken_for_an_end(assert_rejects):
    def stops_at_once(model, prompts, new_tokens, pick):
        going = prompts[:, 0] != 0
        tokens, mask = prompts, torch.zeros(len(prompts), prompts.shape[1] - 1, dtype=torch.bool)
        for _ in range(new_tokens):
            new = torch.where(going, pick(model(tokens)[:, -1]), 0)
            tokens, mask = torch.cat([tokens, new[:, None]], 1), torch.cat([mask, going[:, None]], 1)
        return tokens, mask

    assert_rejects("05.1", stops_at_once, "Nothing is written")


def test_roll_out_takes_a_row_at_a_time():
    def by_rows(model, prompts, new_tokens, pick):
        tokens = written(model, prompts, new_tokens, pick)
        mask = torch.zeros_like(tokens[:, 1:], dtype=torch.bool)
        for row, target in zip(mask, tokens[:, 1:], strict=True):
            for t in range(prompts.shape[1] - 1, len(row)):
                row[t] = True
                if target[t] == 0:
                    break
        return tokens, mask

    assert diagnose(find_exercise("05.1"), by_rows) is None


def test_roll_out_names_a_mask_for_the_tokens(assert_rejects):
    def one_too_many(model, prompts, new_tokens, pick):
        tokens, mask = find_exercise("05.1").reference(model, prompts, new_tokens, pick)
        return tokens, torch.nn.functional.pad(mask, (1, 0))

    assert_rejects("05.1", one_too_many, "one entry too many")


def unfinished_rows_only(model, prompts, new_tokens, pick):
    """Asks the model for nothing, and chance for nothing, where a row is over."""
    tokens = torch.full((len(prompts), prompts.shape[1] + new_tokens), 0)
    tokens[:, : prompts.shape[1]] = prompts
    mask = torch.zeros_like(tokens[:, 1:])
    alive = torch.arange(len(prompts))
    for t in range(prompts.shape[1], tokens.shape[1]):
        if len(alive) == 0:
            break
        tokens[alive, t] = pick(model(tokens[alive, :t])[:, -1])
        mask[alive, t - 1] = 1  # whole numbers instead of truth values
        alive = alive[tokens[alive, t] != 0]
    return tokens, mask


def test_roll_out_takes_draws_for_unfinished_rows_only():
    assert diagnose(find_exercise("05.1"), unfinished_rows_only) is None


# ---- 05.2


def test_excess_names_what_is_not_cumulative(assert_rejects):
    assert_rejects("05.2", lambda on_student, on_teacher: on_student / on_teacher - 1, "position by position")


def test_excess_names_the_dropped_first_token(assert_rejects):
    def from_the_second(on_student, on_teacher):
        own, theirs = on_student.clone(), on_teacher.clone()
        own[0] = 0
        theirs[0] = 1e-30
        return (
            (own.cumsum(0) - theirs.cumsum(0)).clamp_min(-1)
            / theirs.cumsum(0).clamp_min(1e-30)
            * torch.tensor([0.0] + [1.0] * (len(own) - 1))
        )

    assert_rejects("05.2", from_the_second, "first position is left out")


def test_excess_names_the_wrong_denominator(assert_rejects):
    def of_the_student(on_student, on_teacher):
        own, theirs = on_student.cumsum(0), on_teacher.cumsum(0)
        return (own - theirs) / own

    assert_rejects("05.2", of_the_student, "never exceed 1")


def test_excess_names_exchanged_sides(assert_rejects):
    def exchanged(on_student, on_teacher):
        own, theirs = on_student.cumsum(0), on_teacher.cumsum(0)
        return (theirs - own) / own

    assert_rejects("05.2", exchanged, "sides are exchanged")


def test_excess_names_the_ratio(assert_rejects):
    assert_rejects("05.2", lambda own, theirs: torch.cumsum(own, 0) / torch.cumsum(theirs, 0), "ratio of the two")


def test_excess_takes_a_loop():
    def loop(on_student, on_teacher):
        return torch.stack([on_student[: n + 1].sum() / on_teacher[: n + 1].sum() - 1 for n in range(len(on_student))])

    assert diagnose(find_exercise("05.2"), loop) is None


def test_excess_does_not_mistake_one_denominator_for_none(assert_rejects):
    assert_rejects("05.2", lambda own, theirs: (own - theirs).cumsum(0) / theirs, "gap of one position")


def test_excess_names_percent(assert_rejects):
    assert_rejects("05.2", lambda own, theirs: 100 * (own.cumsum(0) / theirs.cumsum(0) - 1), "in percent")


def by_numpy(on_student, on_teacher):
    return np.cumsum(np.asarray(on_student)) / np.cumsum(np.asarray(on_teacher)) - 1


def by_plain_sums(on_student, on_teacher):
    result, own, theirs = [], 0, 0
    for a, b in zip(on_student.tolist(), on_teacher.tolist(), strict=True):
        own, theirs = own + a, theirs + b
        result.append((own - theirs) / theirs)
    return result


def test_excess_takes_numpy_and_a_list():
    assert diagnose(find_exercise("05.2"), by_numpy) is None
    assert diagnose(find_exercise("05.2"), by_plain_sums) is None


# ---- 05.3


def test_on_policy_loss_names_self_praise(assert_rejects):
    def imitates_itself(student, teacher, tokens, mask):
        return cross_entropy(student(tokens[:, :-1])[mask], tokens[:, 1:][mask])

    assert_rejects("05.3", imitates_itself, "praised for whatever it wrote")


def test_on_policy_loss_names_the_direction(assert_rejects):
    def reverse(student, teacher, tokens, mask):
        q, p = (model(tokens[:, :-1]).log_softmax(-1) for model in (student, teacher))
        return kl_div(p.detach(), q, log_target=True, reduction="none").sum(-1)[mask].mean()

    assert_rejects("05.3", reverse, "KL(q‖p)")


def test_on_policy_loss_names_the_shift(assert_rejects):
    def unshifted(student, teacher, tokens, mask):
        q, p = (model(tokens).log_softmax(-1)[:, 1:] for model in (student, teacher))
        return kl_div(q, p.detach(), log_target=True, reduction="none").sum(-1)[mask].mean()

    assert_rejects("05.3", unshifted, "have read the token")


def test_on_policy_loss_names_the_padding(assert_rejects):
    def unmasked(student, teacher, tokens, mask):
        q, p = (model(tokens[:, :-1]).log_softmax(-1) for model in (student, teacher))
        return kl_div(q, p.detach(), log_target=True, reduction="none").sum(-1).mean()

    assert_rejects("05.3", unmasked, "after the end")


def by_torch(student, teacher, tokens, mask):
    q, p = (model(tokens[:, :-1]).log_softmax(-1) for model in (student, teacher))
    return kl_div(q, p, log_target=True, reduction="none").sum(-1)[mask].mean()


def test_on_policy_loss_names_the_trained_teacher(assert_rejects):
    assert_rejects("05.3", by_torch, "teacher gets a gradient")


def test_on_policy_loss_names_the_untrained_student(assert_rejects):
    def no_gradient(student, teacher, tokens, mask):
        with torch.no_grad():
            return by_torch(student, teacher, tokens, mask)

    assert_rejects("05.3", no_gradient, "no gradient reaches the student")


def test_on_policy_loss_takes_torchs_function():
    def detached(student, teacher, tokens, mask):
        q, p = student(tokens[:, :-1]).log_softmax(-1), teacher(tokens[:, :-1]).detach().log_softmax(-1)
        return kl_div(q[mask], p[mask], log_target=True, reduction="batchmean")

    assert diagnose(find_exercise("05.3"), detached) is None


def test_on_policy_loss_names_the_cross_entropy(assert_rejects):
    def soft_labels(student, teacher, tokens, mask):
        q, p = student(tokens[:, :-1])[mask], teacher(tokens[:, :-1])[mask].detach().softmax(-1)
        return cross_entropy(q, p)

    assert_rejects("05.3", soft_labels, "entropy is missing")


def test_on_policy_loss_names_the_mean_over_all(assert_rejects):
    def zeros_averaged(student, teacher, tokens, mask):
        q, p = (model(tokens[:, :-1]).log_softmax(-1) for model in (student, teacher))
        return (kl_div(q, p.detach(), log_target=True, reduction="none").sum(-1) * mask).mean()

    assert_rejects("05.3", zeros_averaged, "still counted in the mean")


def by_positions(student, teacher, tokens, mask):
    """Sums that start at 0, one text and one position at a time, in double precision."""
    total, count = 0, 0
    for row, counts in zip(tokens, mask.tolist(), strict=True):
        q = student(row[None, :-1])[0].double().log_softmax(-1)
        p = teacher(row[None, :-1])[0].detach().double().softmax(-1)
        for t, counted in enumerate(counts):
            if counted:
                total = total + (p[t] * (p[t].log() - q[t])).sum()
                count += 1
    return total / count


def test_on_policy_loss_takes_sums_that_start_at_zero():
    assert diagnose(find_exercise("05.3"), by_positions) is None


# ---- 05.4


def test_dagger_names_the_replaced_set(assert_rejects):
    def fresh_only(student, texts, rounds, write, fit):
        for _ in range(rounds):
            texts = list(write(student))
            student = fit(student, texts)
        return student, texts

    assert_rejects("05.4", fresh_only, "replace the old ones")


def test_dagger_names_training_on_the_new_ones(assert_rejects):
    def newest(student, texts, rounds, write, fit):
        kept = list(texts)
        for _ in range(rounds):
            kept += (new := write(student))
            student = fit(student, new)
        return student, kept

    assert_rejects("05.4", newest, "new ones alone")


def test_dagger_names_the_first_student(assert_rejects):
    def one_writer(student, texts, rounds, write, fit):
        pupil, kept = student, list(texts)
        for _ in range(rounds):
            kept = kept + write(student)
            pupil = fit(pupil, kept)
        return pupil, kept

    assert_rejects("05.4", one_writer, "first student writes")


def test_dagger_names_the_order(assert_rejects):
    def train_then_write(student, texts, rounds, write, fit):
        kept = list(texts)
        for _ in range(rounds):
            student = fit(student, kept)
            kept = kept + write(student)
        return student, kept

    assert_rejects("05.4", train_then_write, "trains first")


def test_dagger_names_the_changed_list(assert_rejects):
    def in_place(student, texts, rounds, write, fit):
        for _ in range(rounds):
            texts += write(student)
            student = fit(student, texts)
        return student, texts

    assert_rejects("05.4", in_place, "in place")


def test_dagger_takes_recursion():
    def recursive(student, texts, rounds, write, fit):
        if not rounds:
            return student, texts
        more = [*texts, *write(student)]
        return recursive(fit(student, more), more, rounds - 1, write, fit)

    assert diagnose(find_exercise("05.4"), recursive) is None


def in_its_own_list(student, texts, rounds, write, fit):
    kept = list(texts)
    while rounds > 0:
        kept.extend(write(student))
        student, rounds = fit(student, list(kept)), rounds - 1
    return [student, kept]


def test_dagger_takes_a_list_of_its_own_and_a_pair_that_is_a_list():
    assert diagnose(find_exercise("05.4"), in_its_own_list) is None


# ---- the notebook runs with right but unusual answers


UNUSUAL = {
    "roll_out": unfinished_rows_only,
    "excess": by_plain_sums,
    "on_policy_loss": by_positions,
    "dagger": in_its_own_list,
}


def test_the_lesson_runs_with_unusual_answers():
    """The cells that call the learner's functions, up to the loss of section 3, and those of DAgger in section 5."""
    cells = [cell.source for cell in find_lessons(numbers=["05"])[0].cells() if cell.cell_type == "code"]
    page: dict = {"display": lambda *_: None}
    for source in cells:
        if "@exercise" in source:
            name = re.search(r"^def (\w+)", source, re.MULTILINE)[1]
            page |= {"END": 0, name: UNUSUAL[name]}
        elif any(part in source for part in ("new_student", "roll_out(", "excess(on_student, on_teacher)[:6]")):
            if "for number in" not in source:
                exec(source, page)
        elif "setup(" in source:
            page |= {"seed": 0, "numbers": range(3)}
        elif "on_policy_loss(" in source:
            exec(source, page)
        elif "def by_dagger" in source:
            exec(source, page)
            corrected = page["by_dagger"](page["new_student"](0), 0)
            assert page["growth"](corrected, page["tune"])[0].isfinite().all()
            return
    raise AssertionError("the lesson has no DAgger")


@pytest.mark.parametrize("small", [1e-6, 1e-8, 1e-12, 1e-20])
def test_the_loss_does_not_pass_with_a_small_number_inside_the_logarithm(small):
    def helped(student, teacher, tokens, mask):
        q, p = student(tokens[:, :-1]).softmax(-1), teacher(tokens[:, :-1]).softmax(-1).detach()
        return (p * ((p + small).log() - (q + small).log())).sum(-1)[mask].mean()

    assert diagnose(find_exercise("05.3"), helped) is not None
