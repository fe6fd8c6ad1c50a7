"""The questions of lesson 03: predictions before the experiments, and the quiz."""

from kd_lab.classroom.questions import Prediction, Question

PREDICTIONS = {
    "03.a": Prediction(
        "The teacher's second mode moves away. What does the student trained with forward KL do?",
        options=(
            "it stretches over both modes",
            "it stays with one mode",
            "it stops halfway",
        ),
        right="it stretches over both modes",
        because="Wherever p is large, a small q is costly; the price of leaving a mode out has no bound.",
    ),
    "03.b": Prediction(
        "And the student trained with reverse KL?",
        options=(
            "it stretches over both modes",
            "it covers both at first, then lets one go",
            "it stays with one mode from the start",
        ),
        right="it covers both at first, then lets one go",
        because=(
            "Beyond a certain distance the valley costs more than the log 2 of saying only half of what the teacher "
            "says."
        ),
    ),
    "03.c": Prediction(
        "Reverse KL is minimised from 24 random starts, the two modes weighing the same. Where do the students end?",
        options=(
            "all on the same mode",
            "some on one mode, some on the other",
            "in the middle, wide",
            "some on each mode, and a few in the middle",
        ),
        because=(
            "Of {students} students {on_left} ended on the left mode, {on_right} on the right one and {over_both} in "
            "a wide local optimum over both, which costs {wide_cost:.2f} nats instead of {narrow_cost:.2f}."
        ),
    ),
    "03.d": Prediction(
        "A softmax student of rank 2. Which one gives more probability to tokens that the teacher finds implausible?",
        options=(
            "the one trained with forward KL",
            "the one trained with reverse KL",
            "both the same",
        ),
        because="It would rather say what is implausible than miss what is plausible.",
    ),
    "03.e": Prediction(
        "JSD(½) has no cliff. As the second mode moves away, its student …",
        options=(
            "covers both for ever, as with forward KL",
            "covers both longer than reverse KL, then lets go too",
            "lets go sooner than reverse KL",
        ),
        right="covers both longer than reverse KL, then lets go too",
        because="JSD(½) lets go at a distance of {jsd:.2f}, reverse KL at {reverse_kl:.2f}.",
    ),
    "03.f": Prediction(
        "The teacher is softened to τ = 4 (the student is not). Its modes are 4 apart. The reverse-KL student …",
        options=(
            "locks on one mode, as narrow as before",
            "locks on one mode, but is wider",
            "covers both modes",
        ),
        because="At τ = 4 the valley of the softened teacher is shallow enough to be worth crossing.",
    ),
    "03.g": Prediction(
        "A hill made of eight narrow bumps, reverse KL, 40 random starts. How many different optima do they end in?",
        options=(
            "more at τ = 1 than at τ = 8",
            "the same number",
            "fewer at τ = 1 than at τ = 8",
        ),
        right="more at τ = 1 than at τ = 8",
        because="On average {cold:.1f} against {warm:.1f}.",
    ),
    "03.h": Prediction(
        (
            "Same learning rate, same steps. Compared with reverse KL, a student trained with raw JSD(0.98) puts on "
            "implausible tokens …"
        ),
        options=(
            "about the same mass",
            "much more mass",
            "much less mass",
        ),
        because="Its gradient is 1/{times:.0f} of reverse KL's, and so are its steps.",
    ),
}

QUIZ = (
    Question(
        "The teacher gives a token 0.3 and the student gives it 10⁻⁹. Which divergence complains?",
        {
            "forward KL": "Yes: the weight is p = 0.3 and log(p/q) is about 20.",
            "reverse KL": "No: its weight is q, and 10⁻⁹ times anything here is nothing.",
            "JSD(½)": "It cannot complain much: it never exceeds ln 2.",
        },
        right="forward KL",
    ),
    Question(
        "kl_div(input=a, target=b) of torch, both log-probabilities with log_target=True, is …",
        {
            "KL(b‖a)": "Yes. The second argument weighs the terms, so forward KL needs the student first.",
            "KL(a‖b)": "The order of the arguments is not the order in KL( · ‖ · ): the target weighs the terms.",
        },
        right="KL(b‖a)",
    ),
    Question(
        (
            "A colleague trains with JSD(0.01) 'because that is forward KL', and the loss is tiny from the first "
            "step on. Why?"
        ),
        {
            "JSD(β) vanishes as β → 0": (
                "Yes: it is about β·KL(p‖q), a hundredth of forward KL. Divide by β, or compare gradient norms."
            ),
            "the student is already good": "JSD(0.01) is small for every student.",
            "the direction is reversed": (
                "At small β the slope is forward KL: the direction is as intended, the size is not."
            ),
        },
        right="JSD(β) vanishes as β → 0",
    ),
    Question(
        "Student and teacher have the same architecture and the student is trained long enough. Forward or reverse?",
        {
            "hardly matters": (
                "Yes: both are zero at q = p only, and q = p is within reach. They differ in the way there."
            ),
            "forward, or it drops modes": "Only a student that cannot hold all modes has to drop some.",
            "reverse, or it hedges": "Only a student that cannot leave the valley empty has to fill it.",
        },
        right="hardly matters",
    ),
)
