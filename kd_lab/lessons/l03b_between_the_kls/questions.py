"""The questions of lesson 03b: predictions before the experiments, and the quiz."""

from kd_lab.classroom.questions import Prediction, Question

PREDICTIONS = {
    "03b.a": Prediction(
        "JSD(½) has no cliff. As the second mode moves away, its student …",
        options=(
            "never lets go, just as under forward KL",
            "lets go later than reverse KL's student",
            "lets go sooner than reverse KL's student",
        ),
        right="lets go later than reverse KL's student",
        because="JSD(½) lets go at a distance of {jsd:.2f}, reverse KL already at {reverse_kl:.2f}.",
    ),
    "03b.b": Prediction(
        "The teacher is softened to τ = 4 (the student is not). Its modes are 4 apart. The reverse-KL student …",
        options=(
            "locks on one mode, as narrow as before",
            "locks on one mode, but is wider",
            "covers both modes",
        ),
        right=lambda one_mode: 1 if one_mode else 2,
        because="At τ = 4 the valley of the softened teacher is shallow enough to be worth crossing.",
    ),
    "03b.c": Prediction(
        "A hill made of eight narrow bumps, reverse KL, 40 random starts. How many different optima do they end in?",
        options=(
            "more at τ = 1 than at τ = 8",
            "the same number",
            "fewer at τ = 1 than at τ = 8",
        ),
        right="more at τ = 1 than at τ = 8",
        because="On average {cold:.1f} against {warm:.1f}.",
    ),
    "03b.d": Prediction(
        "JSD(0.98) is nearly reverse KL by its formula. Why does its student in the first picture hedge so much more?",
        options=(
            "its teacher's half, 0.98·KL(p‖m), makes it cover",
            "its gradient is short, so it is still on its way",
            "it is stuck for good in a worse local optimum",
        ),
        right="its gradient is short, so it is still on its way",
        because="Its first gradient is shorter than reverse KL's by a factor of {times:.0f}, and so are its steps.",
    ),
}

QUIZ = (
    Question(
        (
            "A colleague trains with JSD(0.01) “because that is forward KL”, and the loss is tiny from the first "
            "step on. Why?"
        ),
        {
            "JSD(β) vanishes as β → 0": (
                "It is about β·KL(p‖q), a hundredth of forward KL. Divide by β, or compare gradient norms."
            ),
            "the student is already good": "JSD(0.01) is small for every student.",
            "the direction is reversed": (
                "At small β the slope is forward KL: the direction is as intended, the size is not."
            ),
        },
        right="JSD(β) vanishes as β → 0",
    ),
    Question(
        "A divergence is never larger than ln 2. What does its student do when the modes are moved far enough apart?",
        {
            "it keeps one and lets the other go": (
                "Covering costs ever more, up to the bound; letting go costs a fixed amount, below it."
            ),
            "it covers both, at any distance": "That would take an unbounded price for leaving out a mode.",
            "it stops between the two of them": "A narrow student in an empty valley pays the bound itself.",
        },
        right="it keeps one and lets the other go",
    ),
    Question(
        "The teacher is softened to τ = 2, and the reverse-KL student stays on its mode. How does the student change?",
        {
            "it gets narrower: the peak is cleaner": "It is cleaner in that false summits are gone, but it is wider.",
            "it gets wider, by about √2": "A Gaussian of variance σ² softens to one of variance τσ².",
            "its width stays, only its place moves": "It copies the softened mode, which is wider than the mode.",
        },
        right="it gets wider, by about √2",
    ),
    Question(
        "Loss A beats loss B at one learning rate. What should be checked before “A is the better divergence” is said?",
        {
            "the order again with gradient norms made equal, at several rates": (
                "The losses differ in size as well as in shape; only the shape belongs to the divergence."
            ),
            "the order again with more seeds, all at the same learning rate": (
                "More seeds narrow the intervals. The step lengths stay different."
            ),
            "the values of both losses at the end, whichever of them is less": (
                "Values of different divergences are not comparable: a tenth of the same loss is a tenth as large."
            ),
        },
        right="the order again with gradient norms made equal, at several rates",
    ),
)
