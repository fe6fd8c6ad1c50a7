"""Predictions and quiz of lesson 10b as data, so that the notebook gives no answer away."""

from kd_lab.classroom.questions import Prediction, Question

PREDICTIONS = {
    "10b.a": Prediction(
        "A table of frequencies is estimated from N of its own draws, again and again. What becomes of its diversity?",
        (
            "it stays, up to noise in both directions",
            "it falls at once and then stays",
            "it falls by a share 1/N per generation, for ever",
        ),
        right="it falls by a share 1/N per generation, for ever",
        because=(
            "After 30 generations of 30 draws {replaced:.0%} of it is left, the mean of 400 runs. Each estimate is "
            "right on average for every probability, and loses some diversity all the same."
        ),
    ),
    "10b.b": Prediction(
        "Six generations of surname models, each trained on text of the one before that was cut at top-p 0.9. Which "
        "remedy holds the held-out bits best?",
        (
            "write without the cut, at τ = 1",
            "keep a tenth of real names in every training set",
            "add each generation's text to all that came before, the real names included",
        ),
        right=lambda plain, tenth, pool, **_: [plain, tenth, pool].index(min(plain, tenth, pool)),
        because=(
            "Bits per character in the sixth generation: {plain:.2f} without the cut, {tenth:.2f} with a tenth of real "
            "names, {pool:.2f} with everything kept, {replaced:.2f} with nothing done."
        ),
    ),
    "10b.c": Prediction(
        "The mimic and the distilled student predict the next letter of held-out names. By how much do their shares of "
        "right letters differ?",
        (
            "by less than one percentage point",
            "the distilled one leads by one to five points",
            "the distilled one leads by more than five points",
        ),
        right=lambda mimic, distilled: 0 if abs(distilled - mimic) < 0.01 else 2 if distilled - mimic > 0.05 else 1,
        because="The shares are {mimic:.1%} and {distilled:.1%}: to be right, the likeliest letter is enough.",
    ),
    "10b.d": Prediction(
        "A student copies the teacher's silent outputs on random letters. Then its *letter* outputs, which nothing "
        "trained, are tried on real names. Which student has learned about names?",
        (
            "none: it has seen no name and no letter output",
            "the one that began with the teacher's initial weights",
            "both, whatever they began with",
        ),
        right=lambda same, other, teacher: 2 if other > 0.1 * teacher else 1 if same > 0.1 * teacher else 0,
        because=(
            "Held-out bits per letter gained: {same:.2f} from the teacher's own beginning, {other:.2f} from another; "
            "the teacher itself gained {teacher:.2f}."
        ),
    ),
    "10b.e": Prediction(
        "The teacher's text carries a secret mark. A student reads it and then writes names of its own. Is the mark in "
        "them?",
        (
            "no: the student learns names, and the mark is in the sampling",
            "yes: to the student the mark is a regularity like any other",
            "only in names that it has learned by heart",
        ),
        right="yes: to the student the mark is a regularity like any other",
        because="10,000 letters of its own have z = {found:.0f} with the right key, and {wrong:.1f} with a wrong one.",
    ),
}

QUIZ = (
    Question(
        "Text of earlier generations is replaced by that of the newest, N texts each. What limits the loss of "
        "diversity?",
        {
            "nothing: it goes on to the end": "Each generation takes its 1/N of what is left.",
            "the number of generations alone": "The number of texts N counts as well: the share lost each time is 1/N.",
            "π²/6N, whatever comes": "That is the limit where everything is kept.",
        },
        right="nothing: it goes on to the end",
    ),
    Question(
        "Why does top-p hasten a collapse?",
        {
            "it makes the samples noisier": "It makes them less noisy; the noise is not what is lost.",
            "it removes the tail in every generation": "What falls below the line is never read by anyone again.",
            "it lengthens the texts": "Length is not what makes a distribution narrow.",
        },
        right="it removes the tail in every generation",
    ),
    Question(
        "A student has its teacher's accuracy to a tenth of a point. What may be said of its fidelity?",
        {
            "it is high: the answers are as often right": "Two models that never met can be right equally often.",
            "nothing yet: agreement, KL and calibration have to be measured": (
                "And on other prompts than those of the training, too."
            ),
            "it is perfect where the teacher is right": "Accuracy does not even tell whether they are right together.",
        },
        right="nothing yet: agreement, KL and calibration have to be measured",
    ),
    Question(
        "A filter removes every trace of a trait from a teacher's text. When can a student still learn the trait?",
        {
            "never: what is not in the text cannot be learned": "The text depends on all the teacher's weights.",
            "when it begins near the teacher's weights": (
                "Then a step towards the teacher's outputs, whatever they are, tends to be one towards the teacher."
            ),
            "when it is much larger than the teacher": "Size is not what the two have in common.",
        },
        right="when it begins near the teacher's weights",
    ),
    Question(
        "A text has z = 9 against γ = ½, with a vocabulary of 27 letters. Is it marked?",
        {
            "yes: z above 4 happens 3 times in 100,000": "That holds if unmarked text has half of its letters green.",
            "not to be said before the base rate of unmarked text is measured, and wrong keys are tried": (
                "With few contexts the key itself favours or disfavours the language."
            ),
            "no: 27 letters are too few for any mark": "They are enough, once the base rate is measured.",
        },
        right="not to be said before the base rate of unmarked text is measured, and wrong keys are tried",
    ),
)
