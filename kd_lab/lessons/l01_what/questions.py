"""The questions of lesson 01: predictions before the experiments, and the quiz."""

from kd_lab.classroom.questions import Prediction, Question

PREDICTIONS = {
    "01.a": Prediction(
        (
            "500 names, one small student. The whole teacher's targets gain some held-out bits over labels. How much "
            "of that gain is left with equally soft targets: the teacher's top letter, and after it the usual ones?"
        ),
        options=("nearly all of it", "about half of it", "none of it"),
        right=lambda kept, gain, **_: 2 if kept < 0.1 * gain else 1,
        because=(
            "The whole teacher puts its student {gain:.2f} bits ahead of labels; targets of the same entropy leave it "
            "{left_over:.2f} {ahead}."
        ),
    ),
    "01.b": Prediction(
        "Without the factor τ², going from τ = 1 to τ = 8 makes the gradient on the student's logits about …",
        options=(
            "8 times smaller",
            "64 times smaller",
            "as large as before",
        ),
        right="64 times smaller",
        because="Measured: {ratio:.0f} times on average.",
    ),
    "01.c": Prediction(
        "Our teacher of letters is unsure by nature. Does τ = 4 teach better than τ = 1?",
        options=(
            "yes",
            "no clear difference",
            "no: worse",
        ),
        right=lambda least: 2 if least > 0 else 1,
        because=(
            "In the closest pair of runs τ = 4 is {least:.2f} bits per character worse. A likely reason: this teacher "
            "hides little at τ = 1, and at τ = 4 effort goes into letters that never come."
        ),
    ),
    "01.d": Prediction(
        (
            "A student that never saw the teacher, only labels. What share of the variance of the teacher's features "
            "can the best linear map read off its own?"
        ),
        options=(
            "next to nothing",
            "about half",
            "more than three quarters",
        ),
        right=lambda read_off, **_: 2 if read_off > 0.75 else 1 if read_off > 0.25 else 0,
        because=(
            "{read_off:.0%}. But the last letter alone gives {letter:.0%}, and a student that never learned anything "
            "{untrained:.0%}: most of what is shared is the input."
        ),
    ),
    "01.e": Prediction(
        (
            "Relations fix neither rotation nor shift nor scale, and compare names, not positions. What CKA does a "
            "student trained on them, at a fifth of the usual weights, reach?"
        ),
        options=("as high as with hints", "between labels and hints", "no higher than with labels"),
        right=lambda behind_hints, risen: 0 if behind_hints < 0.02 else 2 if risen < 0.05 else 1,
        because=("To bring names to the teacher's distances, the student has to move the states whose means they are."),
    ),
}

QUIZ = (
    Question(
        (
            "softmax_kl(z, u, temperature=4) already carries τ². Someone multiplies the result by 16 again. The "
            "gradient is …"
        ),
        {
            "16 times too large": "Yes: the factor is then in it twice.",
            "right": "It was right before.",
            "unchanged, as Adam divides by its size": (
                "Adam does hide it where this is the only term; beside a term for labels the balance is off by 16."
            ),
        },
        right="16 times too large",
    ),
    Question(
        "As τ → ∞ the student is asked to match …",
        {
            "the teacher's logits up to a constant": "Yes: the gradient is the centred difference over V.",
            "the uniform distribution over the V tokens": (
                "Both softened sides do tend to it, but τ² magnifies what is left of their difference."
            ),
            "the teacher's first choice and nothing else": "That is the other end, τ → 0.",
        },
        right="the teacher's logits up to a constant",
    ),
    Question(
        "A teacher's targets keep their top probability, and the rest is permuted. What has the student lost?",
        {
            "which wrong letters are nearly right": "Yes: the dark knowledge. The entropy is the same as before.",
            "how sure the teacher is of its first choice": (
                "That stays: the top probability and all others keep their values."
            ),
            "the teacher's first choice itself": "It stays in its place.",
        },
        right="which wrong letters are nearly right",
    ),
    Question(
        "Why does RKD need no projector?",
        {
            "It compares numbers that have no width": "Yes: a distance is a number in a space of any dimension.",
            "Student and teacher have the same width": "They had 48 and 128 features here.",
            "The projector is folded into the head": "There is none.",
        },
        right="It compares numbers that have no width",
    ),
)
