"""The questions of lesson 09: predictions before the experiments, and the quiz."""

from kd_lab.classroom.questions import Prediction, Question

PREDICTIONS = {
    "09.a": Prediction(
        (
            "The weak base is right on 15 % of the problems. Each way gets the same compute. Whose student ends up "
            "right on more than half of them?"
        ),
        options=(
            "all four",
            "traces, GRPO and on-policy distillation",
            "traces and on-policy distillation",
            "traces alone",
        ),
        right=lambda **weak: (
            4 - sum(share > 0.5 for share in weak.values())
        ),  # in their order, if one more joins each time
        because=(
            "After the same compute: traces {traces:.2f}, on-policy distillation {opd:.2f}, GRPO {rl:.2f}, answers "
            "alone {answers:.2f}."
        ),
    ),
    "09.b": Prediction(
        "From the warm base GRPO works. Which student solves most problems if it may write 64 texts on each?",
        options=(
            "the one taught by GRPO, clearly",
            "the base, clearly",
            "they are within 0.1 of each other",
        ),
        right=lambda rl_all, base_all, **_: 2 if abs(rl_all - base_all) <= 0.1 else 0 if rl_all > base_all else 1,
        because=(
            "At k = 1 they are {base_one:.2f} (base) and {rl_one:.2f} (GRPO), at k = 64 {base_all:.3f} and "
            "{rl_all:.3f}."
        ),
    ),
    "09.c": Prediction(
        (
            "The verifier throws away every trace whose answer is wrong. On the problems that the teacher gets wrong, "
            "the student that learned from the rest is right …"
        ),
        options=(
            "hardly ever",
            "on about half of them",
            "nearly always",
        ),
        right=lambda affected: 0 if affected < 0.2 else 1 if affected < 0.8 else 2,
        because=(
            "It is right on {affected:.1%} of them. A filter takes wrong texts away; it adds no right ones. On these "
            "problems next to nothing was left."
        ),
    ),
}

QUIZ = (
    Question(
        (
            "Why does a weak base learn next to nothing from a verifier here, though most groups hold right and wrong "
            "answers?"
        ),
        {
            "most of its right answers are lucky": "The reward then praises the wrong steps that led there by chance.",
            "its groups are all wrong, so that no advantage is left": "Most groups are mixed: there is an advantage.",
            "the verifier makes mistakes on long traces": "It is exact, but it looks at the last digit alone.",
        },
        right="most of its right answers are lucky",
    ),
    Question(
        "A group of eight texts is all right. What is the gradient of GRPO on it?",
        {
            "zero": "Nothing in the group is better than the rest.",
            "large: eight successes are praised": "Each is compared with the others, and all are alike.",
            "undefined, since the deviation is 0": "It would be with a bare division; the advantage is set to 0.",
        },
        right="zero",
    ),
    Question(
        "pass@1 rises under RL and pass@64 does not. What has RL done?",
        {
            "made frequent what the base could write already": "The problems within reach are the same.",
            "taught the student new facts": "Then problems would be solved that 64 texts of the base did not solve.",
            "nothing: the rise is an artefact of sampling": "A higher pass@1 is what a user sees.",
        },
        right="made frequent what the base could write already",
    ),
    Question(
        (
            "A teacher has some facts wrong, and is right on 80 % of the problems. Its student, trained at length on "
            "its traces, is right on …"
        ),
        {
            "about 80 %, wrong where the teacher is": "It copies what is systematic, mistakes included.",
            "more, since mistakes average out": "Random slips do; a wrong fact is the same in every text.",
            "less, since copying loses something each time": "This student has the capacity to copy all of it.",
        },
        right="about 80 %, wrong where the teacher is",
    ),
    Question(
        "On-policy distillation and GRPO both train on the student's own texts. What does the teacher add?",
        {
            "a verdict on every token, with the remedy": "The whole distribution at each prefix, right after a slip.",
            "better prefixes": "The prefixes are the student's in both.",
            "a reward that is higher": "There is none: it is a divergence.",
        },
        right="a verdict on every token, with the remedy",
    ),
)
