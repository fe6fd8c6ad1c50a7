"""The questions of lesson 08: predictions before the experiments, and the quiz."""

from kd_lab.classroom.questions import Prediction, Question

PREDICTIONS = {
    "08.a": Prediction(
        (
            "A model of 6.6 billion parameters writes one text on an H100. Its weights go from 16 to 4 bits. The "
            "most tokens per second …"
        ),
        options=(
            "stay: the arithmetic is the same",
            "double",
            "more than triple",
        ),
        because=(
            "{before:.1f} times. For one text, every weight crosses the bus for two operations: the machine waits "
            "for memory, and bits are bytes. It is not four times, since the launch of the kernels is the next limit."
        ),
    ),
    "08.b": Prediction(
        (
            "The teacher is rounded, without any training, in groups of 32. At how many bits does it first lose more "
            "than a tenth of a bit per character?"
        ),
        options=(
            "8 bits",
            "4 bits",
            "3 bits",
            "2 bits",
        ),
        because=(
            "A bit less doubles the step and more, so the squared error grows five- to ninefold; soon there is "
            "nothing left to round to but −1, 0 and 1."
        ),
    ),
    "08.c": Prediction(
        (
            "Weights and activations in 8 bits. One channel of 128 is 300 times as loud as before, the function is "
            "the same. The loss in bits per character …"
        ),
        options=(
            "stays near zero: 8 bits are enough",
            "is a tenth of a bit",
            "is more than a bit",
        ),
        because=(
            "{worst:.2f} bits. The loud channel sets the step, and nearly all values of the other channels lie below "
            "half of it: they become zero."
        ),
    ),
    "08.d": Prediction(
        "2 bits, 100 steps through the rounding. Who teaches better?",
        options=(
            "the labels",
            "the large teacher",
            "no difference: the names are the same",
        ),
        because=(
            "A label is one letter, drawn from what the teacher knows; with few names per step, the noise of the "
            "draw is most of the gradient. None of that comes from the rounding: the twin gains as well."
        ),
    ),
    "08.e": Prediction(
        "Nine of ten weights of the teacher are set to zero. It reads names …",
        options=(
            "nearly ten times as fast",
            "twice as fast",
            "as fast as before",
        ),
        because="{in_model:.2f} times as fast. The kernel multiplies by every zero.",
    ),
    "08.f": Prediction(
        "Both models have lost half of their blocks. One text is written, token by token. Which one is faster?",
        options=(
            "half of every layer",
            "half of the layers",
            "both alike",
        ),
        because=(
            "One token is so little work that a layer takes about as long to start as to compute. Half a layer takes "
            "nearly as long; a layer that is left out takes no time."
        ),
    ),
    "08.g": Prediction(
        "Which healing leaves fewer bits per character after 40 steps?",
        options=(
            "labels",
            "the original as a teacher",
            "both alike: the names are the same",
        ),
        because=(
            "A label says which letter came. The original says how likely each of the 27 was, at the same price in "
            "texts."
        ),
    ),
    "08.h": Prediction(
        (
            "Each stage was also measured alone, on the original. How far is the product of the three sizes from the "
            "size of the stack?"
        ),
        options=(
            "within 5 %",
            "5 to 20 % off",
            "a factor of two",
        ),
        because=(
            "{off_parts:+.1%}. Pruning spares embeddings and norms, and these weigh more in a small model: the "
            "factors are only nearly independent."
        ),
    ),
}

QUIZ = (
    Question(
        "A model of 80 % zeros runs on an ordinary GPU kernel. What has become smaller?",
        {
            "neither its file nor its time, unless something is told where the zeros are": (
                "Yes: a zero is stored and multiplied like any number."
            ),
            "its time, by five": "Only a kernel that skips zeros does less, and at 80 % even that may not pay.",
            "its file, by five": "As dense numbers a zero takes as many bytes as any other.",
        },
        right="neither its file nor its time, unless something is told where the zeros are",
    ),
    Question(
        "A chatbot serves one user at a time from a large model. First step?",
        {
            "fewer bits per weight": (
                "Yes: for one text the weights cross the bus at every token, and bits are bytes."
            ),
            "unstructured pruning": "The zeros cross the bus as well.",
            "a larger batch": "It shares the weights among texts, and there is only one.",
        },
        right="fewer bits per weight",
    ),
    Question(
        "You remove a head from Q, K and V and leave the output projection as it is. What happens?",
        {
            "the shapes no longer fit": (
                "Yes: the projection has a column for every feature that a head has gathered."
            ),
            "nothing: a missing head contributes zero": (
                "That would be silencing it. Removed, its columns have nothing to multiply."
            ),
            "the model is a little slower": "It does not run at all.",
        },
        right="the shapes no longer fit",
    ),
    Question(
        "A student of a tenth of the parameters, pruned by half, 4 bits instead of 16. How large is it?",
        {
            "1/80 of the original": "Yes: 1/10 · 1/2 · 1/4.",
            "1/16": "The factors multiply; they do not add.",
            "that depends on the order of the three": "The quality does. The product does not.",
        },
        right="1/80 of the original",
    ),
)
