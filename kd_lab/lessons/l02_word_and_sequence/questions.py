"""The questions of lesson 02: predictions before the experiments, and the quiz."""

from kd_lab.classroom.questions import Prediction, Question

PREDICTIONS = {
    "02.a": Prediction(
        "Word-level targets for all nine positions of “martinez■”: how often does the teacher have to run?",
        options=(
            "once",
            "nine times, once per position",
            "243 times, once per number",
        ),
        right="once",
        because=(
            "A text that is already written is read in one pass, and a causal model answers at all positions at the "
            "same time."
        ),
    ),
    "02.b": Prediction(
        "The teacher writes four times as many texts. The typical error of the estimate becomes …",
        options=(
            "a quarter",
            "a half",
            "no smaller",
        ),
        right="a half",
        because="Independent errors average out like 1/√N, whatever the number of possible texts.",
    ),
    "02.c": Prediction(
        (
            "A student is trained on the mode alone. How much likelier, by its own judgement, is what a beam finds "
            "for it than what greedy decoding writes?"
        ),
        options=(
            "as much as for a student of sampled text",
            "hardly at all",
            "far more",
        ),
        because=(
            "Its distribution has one tall path per prompt. Where every step is almost certain, the likeliest step "
            "lies on the likeliest path."
        ),
    ),
    "02.d": Prediction(
        "The student follows this gradient to its end. How much probability does it leave to the tokens outside K?",
        options=(
            "as much as the teacher",
            "none",
            "an equal share for each token",
        ),
        right="none",
        because="A token outside K is pushed down by the softmax at every step and pulled up by nothing.",
    ),
}

QUIZ = (
    Question(
        "A provider returns text and no probabilities. Which loss can you use?",
        {
            "sequence-level KD on sampled texts": "Yes: −log q of a text asks the teacher for the text alone.",
            "word-level KD with τ = 2": "A temperature needs the logits, and so does any word-level target.",
            "top-k with a bucket": "The log-probabilities of the k tokens would have to come with the text.",
        },
        right="sequence-level KD on sampled texts",
    ),
    Question(
        "kl_div with reduction='batchmean' on [B, T, V] …",
        {
            "sums over positions": "Yes: it divides by B alone, so texts of twice the length weigh twice as much.",
            "averages over positions": (
                "It divides by the first axis, which is B here. Select the counted positions first, [n, V], and it "
                "is the token mean."
            ),
            "averages over V": "That is what reduction='mean' adds.",
        },
        right="sums over positions",
    ),
    Question(
        "Pad and end of text share one id. The mask for the loss is …",
        {
            "everything up to and including the first end mark": (
                "Yes: the first one is part of the text, the others fill the row."
            ),
            "targets != END": "Then no end is ever learned, and the student does not stop.",
            "all positions": "Then the row's width changes the loss.",
        },
        right="everything up to and including the first end mark",
    ),
    Question(
        "After hard sequence-level KD, a wide beam adds little because …",
        {
            "the student's distribution is peaked on one path per prompt": (
                "Yes: where every step is nearly certain, greedy steps stay on the likeliest path."
            ),
            "the student has learned to search": "It has learned one answer per prompt. Nothing in it looks ahead.",
            "beam search never helps small models": (
                "It helps the student that learned from names, by the gap measured above."
            ),
        },
        right="the student's distribution is peaked on one path per prompt",
    ),
)
