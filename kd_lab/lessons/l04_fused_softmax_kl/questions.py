"""The questions of lesson 04: predictions before the experiments, and the quiz."""

from kd_lab.classroom.questions import Prediction, Question

PREDICTIONS = {
    "04.a": Prediction(
        (
            "KL(p‖q) of two rows of logits, value only, numerically stable. How often must each logit be read from "
            "memory?"
        ),
        options=(
            "once",
            "twice: maximum and sum, then the rest",
            "three times: maximum, sum, KL",
        ),
        right="once",
        because=(
            "Three sums and two maxima in registers are all that the value needs. The gradient needs a second read."
        ),
    ),
    "04.b": Prediction(
        "The true KL is 5·10⁻⁷ nats. In fp32, your kernel of 04.3 gives …",
        options=(
            "5·10⁻⁷ with a few correct digits",
            "0",
            "anything near 10⁻⁶, of either sign",
            "NaN",
        ),
        right="anything near 10⁻⁶, of either sign",
        because=(
            "At this KL {share:.0%} of the one-pass values came out negative, and the largest errors exceed the value."
        ),
    ),
}

QUIZ = (
    Question(
        (
            "A kernel's KL is right on all your test rows, whose logits fall from the first column to the last, and "
            "wrong on a real teacher's. What is a likely cause?"
        ),
        {
            "an accumulator is not rescaled": (
                "Where the maximum comes first, nothing ever has to be rescaled. Test with rows that rise."
            ),
            "16-bit logits": "They cost digits in falling rows as well.",
            "the mask of the last block": "Falling rows have a last block as well.",
        },
        right="an accumulator is not rescaled",
    ),
    Question(
        "Your training log shows KL = −3·10⁻⁷. What do you do first?",
        {
            "compute the same value again, in fp64": (
                "The sign shows that not one digit is right. The gradient may be fine. Σ(p·d − p + q) helps as well, "
                "unless the teacher is peaked."
            ),
            "clamp it at zero: no KL is negative": "Then it shows 0 and is as wrong as before.",
            "lower the rate: training diverges": (
                "Nothing has diverged; a difference of two large numbers has run out of digits."
            ),
        },
        right="compute the same value again, in fp64",
    ),
    Question(
        "V = 1000 and BLOCK = 256. A kernel loads with a mask, and stores without one. What happens?",
        {
            "row n overwrites the first numbers of row n + 1": (
                "The last block has 24 lanes beyond the row, and in memory the next row begins there."
            ),
            "nothing: those lanes hold −∞ and add nothing": "They add nothing to a sum. A store still writes them.",
            "the launch stops with an error": "A GPU does not check. At most a store behind the last row may crash.",
        },
        right="row n overwrites the first numbers of row n + 1",
    ),
    Question(
        "loss.sum().backward() brings an upstream gradient of stride 0. Why can that break a kernel?",
        {
            "pointer + n reads past the stored number": (
                "`expand` repeats one number without storing it again, and behind it lies something else. Make it "
                "contiguous, or pass the stride."
            ),
            "the gradient of a sum is zero for every row": "It is one, for every row.",
            "the backward pass never sees an upstream": "It multiplies every row.",
        },
        right="pointer + n reads past the stored number",
    ),
)
