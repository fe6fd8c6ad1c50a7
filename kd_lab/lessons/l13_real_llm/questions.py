"""The questions of lesson 13: predictions before the experiments, and the quiz."""

from kd_lab.classroom.questions import Prediction, Question

PREDICTIONS = {
    "13.a": Prediction(
        "Ten of SmolLM2's thirty layers go, and nothing is trained. One rule measures each absence once and takes the "
        "ten cheapest out. Another takes out one layer at a time and measures all others again. How far from the whole "
        "model does the second leave it, compared with the first?",
        options=(
            "less than half as far",
            "half to four fifths as far",
            "about as far, to within a fifth",
            "farther by more than a fifth",
        ),
        right=lambda measured, measured_once, **_: sum(measured / measured_once > edge for edge in (0.5, 0.8, 1.2)),
        because="It is {measured:.2f} against {measured_once:.2f} nats per token on held-out texts. Evenly spaced "
        "removal leaves the model at {evenly:.2f}, and without its last ten layers it is at {first:.2f}.",
    ),
    "13.b": Prediction(
        "Three students read the same texts. One learns from all 49,152 logits, one from the top 32 and the rest, one "
        "from 12 draws. How far is the student of the top 32 from the teacher, compared with that of all logits?",
        options=(
            "as far, to within a few percent",
            "a tenth to a half farther",
            "more than half as far again",
            "nearer: the tail is noise",
        ),
        right=lambda times, **_: 3 if times <= 0.93 else sum(times >= edge for edge in (1.1, 1.5)),
        because="Measured: {times:.2f} times as far, and the draws {drawn:.2f} times.",
    ),
    "13.c": Prediction(
        "The healed student has two thirds of the layers and drafts for the whole model, one token at a time. On this "
        "CPU, speculative decoding then …",
        options=(
            "is faster than plain decoding",
            "takes about the same time",
            "is slower than plain decoding",
        ),
        right=lambda speed, **_: 0 if speed > 1.05 else 2 if speed < 0.95 else 1,
        because="A call of the draft costs {cost:.2f} of the target's, and {alpha:.0%} of its guesses would stand.",
    ),
    "13.d": Prediction(
        "A student of 8 billion weights learns from a teacher of 70 billion on 64 GPUs, 2²⁰ tokens per step. What "
        "takes the most memory on a GPU, if the logits of both sides are held?",
        options=(
            "the teacher's weights",
            "the student's optimizer",
            "the logits",
        ),
        right="the logits",
        because="Weights, gradients and moments are sharded to {state:.1f} GB; the logits are {logits:.1f} GB.",
    ),
}

QUIZ = (
    Question(
        "Two layers of a model each cost 0.02 nats when it is absent alone. Both are taken out. The cost is …",
        {
            "anything from very little to very much": (
                "They may do the same work, and then each was cheap because of the other. It has to be measured."
            ),
            "0.04 nats, as costs add up": "They add up only where the two do not depend on one another.",
            "less than 0.04, as the rest makes up for it": (
                "It may be less, but nobody can count on it: without training no layer takes over another's work."
            ),
        },
        right="anything from very little to very much",
    ),
    Question(
        "A colleague wants to store the teacher's logits of 10 billion tokens, V = 152,000, in 16 bits. Best advice?",
        {
            "keep a top k with the mass of the rest, or a few draws": (
                "3 PB become 2 TB or less at k = 32 and ids of 4 bytes; the loss still compares whole distributions."
            ),
            "keep a top k and scale it up to sum to 1": (
                "The scaled target has another optimum: a student that puts no mass off the k tokens."
            ),
            "keep the likeliest token alone: that is what the text says": (
                "That is a label, and labels can be had for less."
            ),
        },
        right="keep a top k with the mass of the rest, or a few draws",
    ),
    Question(
        "A server cuts answers off at 256 tokens. A pipeline puts the end mark behind every answer. What does the "
        "student learn?",
        {
            "to stop in mid-sentence after 256 tokens": "The end is then a fact about the server, not the text.",
            "to stop where the teacher would stop": "The teacher did not stop there.",
            "nothing about stopping": "It sees an end mark in every text, and learns where it stands.",
        },
        right="to stop in mid-sentence after 256 tokens",
    ),
    Question(
        "A draft has α = 0.7 and takes 0.7 of the target's time per call. Why does it not help?",
        {
            "each guess costs 0.7 of a call and saves at most 0.7": (
                "With one guess: 1.7 tokens for 1.7 calls, if checking two tokens costs no more than one."
            ),
            "α is too low: a draft is of use from about 0.9 on": (
                "At c = 0.05 an α of 0.7 gives more than twice the speed."
            ),
            "pruning alone makes no draft: it has to be trained first": (
                "How it came to its α makes no difference to the time."
            ),
        },
        right="each guess costs 0.7 of a call and saves at most 0.7",
    ),
    Question(
        "Healing 20 layers leaves KL 0.3, rounding the teacher to 4 bits costs 0.1. A stack is predicted at …",
        {
            "0.4, and then measured": (
                "A sum is the first guess. It is no law: KLs do not add, and both may hit the same weights."
            ),
            "0.3: the larger one hides the smaller": "Rounding moves the healed student as well.",
            "0.03: the product of both": "Shares of a size multiply; gaps in nats do not.",
        },
        right="0.4, and then measured",
    ),
)
