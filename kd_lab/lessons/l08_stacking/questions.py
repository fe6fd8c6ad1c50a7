"""The questions of lesson 08: predictions before the experiments, and the quiz."""

from kd_lab.classroom.questions import Prediction, Question

PREDICTIONS = {
    "08.a": Prediction(
        (
            "A model of 6.6 billion parameters writes one text on an H100. Its weights go from 16 to 4 bits. The "
            "number of tokens per second that it can reach at most …"
        ),
        options=(
            "stays: the arithmetic is the same",
            "doubles",
            "more than triples",
        ),
        right=lambda before: 2 if before > 3 else 1 if before > 1.5 else 0,
        because=(
            "{before:.1f} times as many. For one text, every weight crosses the bus for two operations: the machine "
            "waits for memory, and bits are bytes. It is not four times, since the KV cache is read as well and keeps "
            "its 16 bits."
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
        right=lambda first: f"{first} bits",
        because=(
            "Below 4 bits one bit less makes the step 2.3 and then 3 times as large, so the squared error grows five- "
            "and then ninefold. At 2 bits there is nothing left to round to but −1, 0 and 1."
        ),
    ),
    "08.c": Prediction(
        (
            "Weights and activations are in 8 bits. One channel of 128 is 300 times as loud as before, and the "
            "function is the same. The loss in bits per character …"
        ),
        options=(
            "stays near zero: 8 bits are enough",
            "is a tenth of a bit",
            "is more than a bit",
        ),
        right=lambda worst: 2 if worst > 1 else 1 if worst > 0.05 else 0,
        because=(
            "{worst:.2f} bits. The loud channel sets the step, and nearly all values of the other channels lie below "
            "half of it: they become zero."
        ),
    ),
    "08.d": Prediction(
        "A student in 2 bits trains for 100 steps through the rounding. Which signal teaches it better?",
        options=(
            "the labels",
            "the large teacher",
            "both alike: the names are the same",
        ),
        right=lambda middle, half_width: 2 if abs(middle) < half_width else 1 if middle > 0 else 0,
        because=(
            "A label is one letter out of all those that could have followed; the teacher says how likely each is. It "
            "has also read far more names than these 1,500. None of its lead comes from the rounding: in full "
            "precision it leads by even more."
        ),
    ),
    "08.e": Prediction(
        "Nine of ten weights of the teacher are set to zero. It reads names …",
        options=(
            "nearly ten times as fast",
            "twice as fast",
            "as fast as before",
        ),
        right=lambda in_model: 2 if in_model < 1.3 else 1,
        because="{in_model:.2f} times as fast. The kernel multiplies by every zero.",
    ),
    "08.f": Prediction(
        (
            "Two models have lost half of their weights: one half of every layer, the other half of its layers. One "
            "text is written, token by token. Which of them is faster?"
        ),
        options=(
            "the one with narrower layers",
            "the one with fewer layers",
            "both alike",
        ),
        right=lambda ahead: 1 if ahead > 1.1 else 2,
        because=(
            "One token is so little work that a layer takes about as long to start as to compute. Half a layer takes "
            "nearly as long as a whole one; a layer that has gone takes no time."
        ),
    ),
    "08.g": Prediction(
        "The cut model is healed for 40 steps. Which signal leaves it with fewer bits per character?",
        options=(
            "the labels",
            "the original as teacher",
            "both alike: the names are the same",
        ),
        right=lambda middle, half_width: 1 if middle > half_width else 2,
        because=("A label says which letter came. The original says how likely each of the 27 was, on the same texts."),
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
        right=lambda off_parts: 0 if abs(off_parts) <= 0.05 else 1 if abs(off_parts) <= 0.2 else 2,
        because=(
            "The product is off by {off_parts:+.1%}. Pruning spares embeddings and norms, rounding the norms, and "
            "a file has a header. All three weigh more in a small model: the factors are only nearly independent."
        ),
    ),
}

QUIZ = (
    Question(
        "A model of 80 % zeros runs on an ordinary GPU kernel. What has become smaller?",
        {
            "neither its file nor its time": (
                "A zero is stored and multiplied like any number, unless format and kernel are told where it stands."
            ),
            "its time, to a fifth": "Only a kernel that skips zeros does less, and at 80 % even that may not pay.",
            "its file, to a fifth": "Stored densely, a zero takes as many bytes as any other number.",
        },
        right="neither its file nor its time",
    ),
    Question(
        "A chatbot serves one user at a time from a large model. What do you cut first?",
        {
            "the bits of each weight": "For one text all weights cross the bus at every token, and bits are bytes.",
            "four of five weights, to zero": "The zeros cross the bus as well.",
            "the cost per text, by a larger batch": "It shares the weights among texts, and there is only one.",
        },
        right="the bits of each weight",
    ),
    Question(
        "You remove a head from Q, K and V and leave the output projection as it is. What happens?",
        {
            "the shapes no longer fit": ("The projection has a column for every feature that a head has gathered."),
            "nothing: a missing head contributes zero": (
                "That would be silencing it. Removed, its columns have nothing to multiply."
            ),
            "the model is a little slower": "It does not run at all.",
        },
        right="the shapes no longer fit",
    ),
    Question(
        "A student has a tenth of the parameters, is pruned by half and rounded from 16 to 4 bits. How large is it?",
        {
            "1/80 of the original": "1/10 · 1/2 · 1/4.",
            "1/16 of the original": "That adds 10, 2 and 4. The factors multiply.",
            "it depends on the order of the steps": "The quality does; the product does not.",
        },
        right="1/80 of the original",
    ),
)
