"""The questions of lesson 00: predictions before the experiments, and the quiz."""

from kd_lab.classroom.questions import Prediction, Question

PREDICTIONS = {
    "00.a": Prediction(
        "Three of these stand far down on the census list; one was made up by the teacher. Which one?",
        right=lambda made_up: made_up,
        because="The model predicts one letter at a time, and that is enough to sound like a name.",
    ),
    "00.b": Prediction(
        "There are 50,000 to the power of 200 such sequences. How many digits does that number have?",
        options=(
            "about 50",
            "about 200",
            "about 900",
            "about 50,000",
        ),
        right="about 900",
        because="It has {digits}: 200 · log₁₀ 50,000 = {logarithm:.1f}.",
    ),
    "00.c": Prediction(
        (
            "At that node KL(p‖q) is {at_the_node:.2f} nats; everywhere else it is 0. How large is the KL between "
            "the two joints?"
        ),
        right="about a 200th of that",
        because=(
            "Over all {sequences:,} sequences it sums to {by_listing:.5f} nats. The teacher reaches the node with "
            "probability {probability:.5f}, and {probability:.5f} · {at_the_node:.4f} = {product:.5f}."
        ),
    ),
    "00.d": Prediction(
        "With only 250 names to learn from, and 400 steps, which student predicts held-out names better?",
        options=(
            "the one with labels",
            "no clear difference",
            "the one with the teacher",
        ),
        right=lambda least, **_: 2 if least > 0 else 1,
        because="It is ahead by {gain:.2f} bits per character.",
    ),
}

QUIZ = (
    Question(
        "A model gives “a” ½ at the start, and the end mark ½ after “a”. What is the probability of the text “a”?",
        {
            "½": "That is the probability that a text begins with a. It also has to end there.",
            "¼": "Both branches have to be taken: ½ · ½.",
            "1": "Probabilities along a path are multiplied, not added.",
        },
        right="¼",
    ),
    Question(
        (
            "Student and teacher differ only at a node that the teacher reaches once in a thousand texts. Compared "
            "with the KL at that node, the KL of the joints is"
        ),
        {
            "the same": "The chain rule weights each node by how often the teacher reaches it.",
            "a thousandth": "That is its weight in the chain rule.",
            "zero": "The KL is small but not zero: the teacher does reach the node.",
        },
        right="a thousandth",
    ),
    Question(
        "Why did the student with a teacher win on 250 names?",
        {
            "It was larger.": "Both students had the same size and the same initial weights.",
            "It took more steps.": "Both took the same number, on the same names in the same order.",
            "Each position told it more.": (
                "27 probabilities from a teacher who has read many more names, against one letter."
            ),
        },
        right="Each position told it more.",
    ),
    Question(
        (
            "A student is trained with the ordinary loss on text that a teacher wrote. Which knobs of labels_only does "
            "this turn?"
        ),
        {
            "WHERE": "The tokens now come from the teacher's texts; the loss and the signal stay as they were.",
            "HOW": "The loss is −log q of the token, as before.",
            "WHAT and HOW": "The signal is still a sequence of tokens, and the loss its −log q.",
        },
        right="WHERE",
    ),
)
