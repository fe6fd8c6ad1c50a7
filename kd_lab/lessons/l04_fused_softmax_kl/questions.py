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
            "Three sums and two maxima in registers are all that a value needs; the gradient will need a second visit."
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
            "At this KL {share:.0%} of the one-pass values came out negative, and the errors were as large as the "
            "value."
        ),
    ),
    "04.c": Prediction(
        "Your kernel is compiled for V = 128,256 (which 16 divides) and for V = 50,257 (which is odd). What differs?",
        options=(
            "nothing",
            "for the odd V, no load is a vector",
            "for the odd V, the last block only is slower",
        ),
        because=(
            "Row n begins at n·V elements. If V is odd, rows begin at odd places, where a 16-byte load is not "
            "allowed; and a mask that ends in the middle of a vector forbids it once more. The library peels off the "
            "last block, and gives its gradient rows a length that 16 divides."
        ),
    ),
    "04.d": Prediction(
        (
            "Forward and backward of forward KL on this CPU, V = 50,257, fp32: how much faster than eager is the "
            "chunked path?"
        ),
        options=(
            "about as fast",
            "2 to 3 times",
            "4 times or more",
        ),
        because=(
            "Here it was {forward_kl:.1f} times for forward KL and {jsd:.1f} times for JSD. It depends on the "
            "caches, on what it costs to ask the system for memory, and on who else uses the cores."
        ),
    ),
}

QUIZ = (
    Question(
        (
            "A kernel's KL is right on all your test rows, whose logits fall from the first column to the last, and "
            "wrong on a real teacher's. A likely cause?"
        ),
        {
            "an accumulator is not rescaled": (
                "Yes: where the maximum comes first, nothing ever has to be rescaled. Test with rows that rise."
            ),
            "16-bit logits": "They cost digits in falling rows as well.",
            "the mask of the last block": "Falling rows have a last block as well.",
        },
        right="an accumulator is not rescaled",
    ),
    Question(
        "Your training log shows KL = −3·10⁻⁷. What do you do first?",
        {
            "compute the value as Σ(p·d − p + q), or in fp64": (
                "Yes: the sign says that no digit of it is right. The gradient may be fine."
            ),
            "clamp it at zero": "Then it shows 0 and is as wrong as before.",
            "lower the learning rate": (
                "Nothing has diverged; a difference of two large numbers has run out of digits."
            ),
        },
        right="compute the value as Σ(p·d − p + q), or in fp64",
    ),
    Question(
        (
            "You halve the number of rows in a chunk of the plain operations on a GPU. What becomes of the bytes "
            "moved for each logit?"
        ),
        {
            "they stay": (
                "Yes, as long as a chunk is larger than the cache. Chunking saves what is held, not what is moved."
            ),
            "they halve": "Each logit still goes through every operation.",
            "they double": "No logit is visited twice because of it.",
        },
        right="they stay",
    ),
    Question(
        "loss.sum().backward() brings an upstream gradient of stride 0. Why can that break a kernel?",
        {
            "it is one number in memory, and pointer + n reads what lies behind it": (
                "Yes: `expand` repeats a number without storing it. Make it contiguous, or pass the stride."
            ),
            "a sum's gradient is zero": "It is one, for every row.",
            "the backward pass never sees the upstream": "It multiplies every row.",
        },
        right="it is one number in memory, and pointer + n reads what lies behind it",
    ),
)
