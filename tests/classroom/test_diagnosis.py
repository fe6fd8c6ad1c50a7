import signal
import time
from dataclasses import dataclass

import pytest
import torch

from kd_lab.classroom.diagnosis import (
    Case,
    Exercise,
    Misconception,
    Mistake,
    NotStarted,
    diagnose,
    find_exercise,
    is_empty,
)


def weighted_sum(values, weights):
    """The sum of values times weights."""
    return (values * weights).sum(-1)


EXERCISE = Exercise(
    reference=weighted_sum,
    explanation="One product, one sum.",
    cases=(
        Case("two numbers", lambda: (torch.tensor([1.0, 2.0]), torch.tensor([3.0, 5.0]))),
        Case("two rows", lambda: (torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([3.0, 5.0]))),
    ),
    mistakes=(
        Mistake("weights ignored", "The weights are not used.", lambda values, weights: values.sum(-1)),
        Mistake("mean", "A mean came, not a sum.", lambda values, weights: (values * weights).mean(-1)),
        Mistake("all axes", "Rows are added up too.", lambda values, weights: (values * weights).sum()),
    ),
)


def test_the_reference_and_an_equal_answer_are_right():
    assert diagnose(EXERCISE, weighted_sum) is None
    assert diagnose(EXERCISE, lambda v, w: v @ w) is None


@pytest.mark.parametrize("mistake", EXERCISE.mistakes, ids=lambda mistake: mistake.name)
def test_a_known_mistake_is_named_with_its_smallest_case(mistake):
    found = diagnose(EXERCISE, mistake.function)
    assert found.message == mistake.message
    # Adding rows up shows only where there are rows.
    assert found.example[0] == ("case: two rows" if mistake.name == "all axes" else "case: two numbers")
    assert any(line.startswith("your function gives") for line in found.example)
    assert any(line.startswith("values = [") for line in found.example)


def largest_term(values, weights):
    """On the first of these cases it gives what `weights_ignored` would give, and on the second it does not."""
    return (values * weights).amax(-1)


def test_a_mistake_is_named_only_where_it_matches_on_every_case():
    cases = (
        Case("by coincidence", lambda: (torch.tensor([2.0, 3.0]), torch.tensor([1.0, 5 / 3]))),
        EXERCISE.cases[1],
    )
    exercise = Exercise(weighted_sum, "", cases, EXERCISE.mistakes)
    assert "The value differs" in diagnose(exercise, largest_term).message
    ignored = diagnose(exercise, lambda values, weights: values.sum(-1))
    assert ignored.message == "The weights are not used."
    assert ignored.example[0] == "case: by coincidence"


def test_a_mistake_that_breaks_where_the_answer_breaks_is_still_named():
    cases = (EXERCISE.cases[0], Case("one weight", lambda: (torch.tensor([1.0, 2.0]), torch.tensor(3.0))))
    twice = Mistake("twice", "It is twice as much.", lambda values, weights: 2 * values @ weights)  # no number @ there
    exercise = Exercise(weighted_sum, "", cases, (twice,))
    assert diagnose(exercise, lambda v, w: v @ w + v @ w).message == "It is twice as much."
    assert "The value differs" in diagnose(exercise, lambda v, w: 2 * (v * w).sum()).message


def both(values):
    """Sum and largest."""
    return values.sum(), values.max()


@pytest.mark.parametrize("answer", [both, lambda values: dict(zip(("total", "top"), both(values), strict=True))])
def test_answers_of_several_parts_are_compared_entry_by_entry(answer):
    named = () if answer is not both else ("total", "top")
    exercise = Exercise(answer, "", (Case("three", lambda: (torch.tensor([1.0, 2.0, 4.0]),)),), (), entries=named)

    def said_of(**wrong):
        def candidate(values):
            got = dict(zip(("total", "top"), both(values), strict=True)) | wrong
            return tuple(got.values()) if answer is both else got

        return diagnose(exercise, candidate).message

    assert said_of(top=torch.tensor(9.0)).startswith("`top` differs; `total` is right. The value differs")
    assert said_of(total=torch.tensor([7.0])).startswith("`total` differs; `top` is right. The shape is (1,)")
    assert said_of(total=0.0, top=0.0).startswith("`total` and `top` differ. ")
    assert said_of(third=1.0).startswith("It returns 3 entries")
    assert diagnose(exercise, lambda values: values.sum()).message.startswith(
        "It returns a Tensor; this case has an answer of 2 entries: `total` and `top`"
    )


def test_the_solution_is_never_shown():
    found = diagnose(EXERCISE, lambda v, w: v.sum(-1))
    assert "(values * weights)" not in "\n".join([found.message, *found.example])


@pytest.mark.parametrize(
    ("wrong", "part"),
    [
        (lambda v, w: None if v is not None else 1, "return statement is missing"),
        (lambda v, w: v * w, "The shape is (2,); this case has an answer of shape ()"),
        (lambda v, w: v @ w * float("nan"), "NaN"),
        (lambda v, w: v @ w + 1, "The value differs"),
        (lambda v, w: "13", "a str"),
        (lambda v, w: v.mul_(w).sum(-1), "the argument values is changed"),
        (lambda v: v, "TypeError"),
        (lambda v, w: undefined_name, "undefined_name"),  # noqa: F821
    ],
)
def test_what_no_mistake_explains_is_still_diagnosed(wrong, part):
    found = diagnose(EXERCISE, wrong)
    assert part in found.message
    assert found.example[0] == "case: two numbers"


@dataclass
class Page:
    letters: str
    counts: torch.Tensor


def total(numbers, words, table, page, extras):
    return sum(numbers)


LISTS = Exercise(
    total,
    "",
    (
        Case(
            "two numbers",
            lambda: ([1, 2], ["a", [torch.ones(2)]], {"k": [1.0]}, Page("a", torch.ones(1)), [lambda: 1, object()]),
        ),
    ),
    (),
)


def changes_numbers(numbers, words, table, page, extras):
    numbers += [0]
    return sum(numbers)


def changes_words(numbers, words, table, page, extras):
    words[1][0].zero_()
    return sum(numbers)


def changes_table(numbers, words, table, page, extras):
    table["new"] = table["k"]
    return sum(numbers)


def changes_page(numbers, words, table, page, extras):
    page.counts.zero_()
    return sum(numbers)


@pytest.mark.parametrize("changes", [changes_numbers, changes_words, changes_table, changes_page])
def test_an_answer_that_changes_a_list_a_dict_or_what_they_hold_is_told_so(changes):
    name = changes.__name__.removeprefix("changes_")
    kind = {"numbers": "list", "words": "list", "table": "dict", "page": "Page"}[name]
    found = diagnose(LISTS, changes)
    assert f"the argument {name} is changed on the way" in found.message
    assert f"Work on a new {kind}" in found.message
    assert found.example[-1].startswith(f"afterwards {name} = ")


def test_arguments_that_nothing_changed_are_equal_to_themselves():
    assert diagnose(LISTS, total) is None
    nan = Exercise(total, "", (Case("a NaN", lambda: ([1, 2], [float("nan")], {}, Page("", torch.ones(0)), ())),), ())
    assert diagnose(nan, total) is None


def test_a_crash_points_at_the_learners_line():
    def crashing(values, weights):
        total = values.sum()
        return total + values[7]

    message = diagnose(EXERCISE, crashing).message
    assert "IndexError" in message
    assert "at the line `return total + values[7]`" in message


def test_an_endless_loop_is_stopped_and_the_alarm_put_back():
    def endless(values, weights):
        while True:
            time.sleep(0.01)

    has_alarm = hasattr(signal, "SIGALRM")  # Windows has none: another thread keeps the time
    before = has_alarm and signal.getsignal(signal.SIGALRM)
    impatient = Exercise(weighted_sum, "", EXERCISE.cases, (), seconds=0.2)
    assert "did not end within 0.2 seconds" in diagnose(impatient, endless).message
    if has_alarm:
        assert signal.getsignal(signal.SIGALRM) is before
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_unsolved_bodies_are_not_started():
    def dots(values, weights):
        """With a docstring."""
        ...  # noqa: PIE790  as an exercise leaves it

    def nothing(values, weights):
        pass

    def raising(values, weights):
        raise NotImplementedError

    for unsolved in (dots, nothing, raising):
        with pytest.raises(NotStarted):
            diagnose(EXERCISE, unsolved)


def test_only_a_line_that_says_not_implemented_is_not_started():
    """torch raises NotImplementedError too, for a mistake that the learner has to hear of."""

    def of_torch(values, weights):
        return values.long().softmax(-1)

    def module_of_torch(values, weights):
        return torch.nn.Module()(values)

    def own(values, weights):
        return unwritten(values)

    def unwritten(values):
        raise NotImplementedError("to do")

    for broken, line in ((of_torch, "values.long().softmax(-1)"), (module_of_torch, "torch.nn.Module()(values)")):
        message = diagnose(EXERCISE, broken).message
        assert message.startswith("It stops with NotImplementedError: ")
        assert f"at the line `return {line}`" in message
    with pytest.raises(NotStarted):
        diagnose(EXERCISE, own)


def test_a_constant_is_an_answer_and_not_an_empty_body():
    def constant(values, weights):
        """Documented."""
        return 13.0

    assert not is_empty(constant)
    assert not is_empty(lambda x: x)


def factorial(n):
    return 1 if n == 0 else n * factorial(n - 1)


def test_a_recursive_answer_finds_itself_and_leaves_no_name_behind():
    # As in a notebook, where the decorator runs before the name is bound.
    names = {}
    exec("def again(n):\n    return 1 if n == 0 else n * again(n - 1)", names)
    function = names.pop("again")
    exercise = Exercise(factorial, "", (Case("n = 4", lambda: (4,)),), ())
    assert diagnose(exercise, function) is None
    assert "again" not in names


def test_a_check_beyond_values_can_raise_and_can_break():
    def check(candidate):
        if candidate(torch.ones(1), torch.ones(1)).dtype != torch.float32:
            raise Misconception("The dtype changes.", ("case: float32",))

    exercise = Exercise(weighted_sum, "", (), (), check=check)
    assert diagnose(exercise, weighted_sum) is None
    assert diagnose(exercise, lambda v, w: (v @ w).double()).message == "The dtype changes."
    assert "cannot be used: AttributeError" in diagnose(exercise, lambda v, w: 1.0).message


def test_an_unknown_exercise_is_named_with_those_that_exist():
    with pytest.raises(ValueError, match=r"no exercise '77\.1'; lesson '77' has none"):
        find_exercise("77.1")


# ---- a way of running that is not a call: kernels --------------------------------------------------------------------


class Launched:
    """As Triton's kernels are: no plain function, and started by more than a call."""

    def __init__(self, fn):
        self.fn = fn

    def __call__(self):
        raise TypeError("a kernel is launched, not called")

    def launch(self, source, out):
        self.fn(source, out)


@Launched
def doubles(source, out):
    """Twice the source into out."""
    out[:] = 2 * source


def run_doubles(kernel, source):
    out = torch.full_like(source, torch.nan)
    kernel.launch(source, out)
    return out


KERNEL_EXERCISE = Exercise(
    reference=doubles,
    explanation="",
    cases=(Case("two numbers", lambda: (torch.tensor([1.0, 2.0]),)),),
    mistakes=(Mistake("squared", "It squares.", Launched(lambda source, out: out.copy_(source**2))),),
    run=run_doubles,
)


def test_an_exercise_says_how_its_function_is_run():
    assert diagnose(KERNEL_EXERCISE, Launched(lambda source, out: out.copy_(source + source))) is None
    squared = diagnose(KERNEL_EXERCISE, Launched(lambda source, out: out.copy_(source * source)))
    assert squared.message == "It squares."
    assert squared.example == (
        "case: two numbers",
        "source = [1, 2]",
        "your function gives [1, 4]",
        "expected [2, 4]",
    )


def test_a_kernel_without_a_body_is_not_started_and_one_that_breaks_is_told_its_line():
    @Launched
    def unsolved(source, out):
        """Twice the source into out."""
        ...  # noqa: PIE790  as an exercise leaves it

    @Launched
    def broken(source, out):
        out[7] = source

    @Launched
    def raising(source, out):
        raise NotImplementedError

    for open_kernel in (unsolved, raising):
        with pytest.raises(NotStarted):
            diagnose(KERNEL_EXERCISE, open_kernel)
    assert "at the line `out[7] = source`" in diagnose(KERNEL_EXERCISE, broken).message


def test_what_an_interpreter_wraps_is_unwrapped():
    class InterpreterError(Exception):
        pass

    class Interpreted(Launched):
        def launch(self, source, out):
            try:
                self.fn(source, out)
            except Exception as error:
                raise InterpreterError(repr(error)) from error

    @Interpreted
    def broken(source, out):
        out[7] = source

    message = diagnose(KERNEL_EXERCISE, broken).message
    assert message.startswith("It stops with IndexError")
    assert "at the line `out[7] = source`" in message
