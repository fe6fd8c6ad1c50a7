"""The questions of lesson 02: predictions before the experiments, and the quiz."""

from kd_lab.classroom.questions import Prediction, Question

PREDICTIONS = {
    "02.a": Prediction(
        "The student needs word-level targets for all nine positions of “martinez■”. How often does the teacher run?",
        options=(
            "once",
            "nine times, once per position",
            "243 times, once per number",
        ),
        right="once",
        because="The text is already there, and a causal model answers at all of its positions in one pass.",
    ),
    "02.b": Prediction(
        "The teacher writes four times as many texts. What becomes of the typical error of the estimate?",
        options=(
            "It falls to a quarter.",
            "It falls to a half.",
            "It stays, while most of the possible texts are unseen.",
        ),
        right="It falls to a half.",
        because="Independent errors average out like 1/√N, however many texts are possible.",
    ),
    "02.c": Prediction(
        "Take the student of modes. How much likelier, by its own probabilities, is what a beam finds than what it "
        "writes greedily?",
        options=(
            "about as much as for the student of samples",
            "far less than for the student of samples",
            "far more than for the student of samples",
        ),
        right=lambda left: 1 if left < 1 / 3 else 2 if left > 1 else 0,
        because=(
            "Of the gap of a student of samples {left:.0%} is left. The student of modes has one tall path per prompt, "
            "and where every step is almost certain the likeliest step lies on the likeliest path."
        ),
    ),
    "02.d": Prediction(
        "A student follows this gradient to its end. How much probability does it leave to the tokens outside K?",
        options=(
            "as much as the teacher does",
            "none",
            "an equal share for each of them",
        ),
        right="none",
        because="The softmax pushes a token outside K down at every step, and nothing pulls it up.",
    ),
}

QUIZ = (
    Question(
        "A provider returns text and no probabilities. Which loss can you still use?",
        {
            "sequence-level KD on sampled texts": "Its loss, −log q of a text, asks the teacher for the text alone.",
            "word-level KD with a temperature of 2": "A temperature needs logits, and so does any word-level target.",
            "a top k with a tail bucket": "The log-probabilities of the k tokens would have to come with the text.",
        },
        right="sequence-level KD on sampled texts",
    ),
    Question(
        "On tensors [B, T, V], what does kl_div with reduction='batchmean' do?",
        {
            "It sums over the positions.": "It divides by B alone, so texts of twice the length weigh twice as much.",
            "It averages over the positions.": (
                "It divides by the first axis, which is B here. Select the counted positions first, [n, V], and it "
                "becomes the mean over positions."
            ),
            "It averages over the vocabulary.": "That is what reduction='mean' does, besides averaging over the rest.",
        },
        right="It sums over the positions.",
    ),
    Question(
        "Padding and the end of a text share one id. Which positions belong in the loss?",
        {
            "everything up to and including the first end mark": (
                "The first one belongs to the text; the others fill the row."
            ),
            "every position whose target is not the end mark": "Then no end is learned, and the student never stops.",
            "every position of the row, the padding included": "Then the same text costs more in a wider batch.",
        },
        right="everything up to and including the first end mark",
    ),
    Question(
        "After hard sequence-level KD, a wide beam adds little. Why?",
        {
            "The student's distribution has one tall path per prompt.": (
                "Where every step is nearly certain, greedy steps stay on the likeliest path."
            ),
            "The student has learned to search, since its teacher searched.": (
                "It has learned one answer per prompt. Nothing in it looks ahead."
            ),
            "It learned from text that a teacher wrote, whichever text that was.": (
                "So did the student of samples, and it kept a gap several times as wide."
            ),
        },
        right="The student's distribution has one tall path per prompt.",
    ),
    Question(
        "You store k = 4 sampled ids per position, once, and train on them for many epochs. What do you get?",
        {
            "At each position four draws, however often they are read": (
                "Reading the same draws again adds no information; unbiased is a statement about fresh ones."
            ),
            "The teacher's distribution, since sampled ids are unbiased": (
                "On average over draws, yes. These four were drawn once, and one position learns these four."
            ),
            "The same as from the four likeliest tokens with a bucket": (
                "A bucket keeps exact probabilities of four tokens and of the rest; four draws keep neither."
            ),
        },
        right="At each position four draws, however often they are read",
    ),
)
