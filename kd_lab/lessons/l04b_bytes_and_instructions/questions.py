"""The questions of lesson 04b: predictions before the experiments, and the quiz."""

from kd_lab.classroom.questions import Prediction, Question

PREDICTIONS = {
    "04b.a": Prediction(
        (
            "Forward KL in plain PyTorch, forward and backward, moves 122 bytes per logit if the logits come in 16 "
            "bits. How many if they come in fp32?"
        ),
        options=(
            "about 244",
            "a little more than 122",
            "fewer than 122",
        ),
        right="fewer than 122",
        because=(
            "It is {fp32:.0f}. The arithmetic is in fp32 either way; with 16-bit logits three conversions of 6 bytes "
            "each come on top."
        ),
    ),
    "04b.b": Prediction(
        "The kernel is compiled for V = 128,256 (which 16 divides) and for V = 50,257 (which is odd). What differs?",
        options=(
            "nothing",
            "for the odd V, no load is a vector",
            "for the odd V, the last block only is slower",
        ),
        because=(
            "Row n begins at n·V elements. If V is odd, rows begin at odd places, where a 16-byte load is not allowed; "
            "and a mask that ends in the middle of a vector forbids it once more."
        ),
    ),
    "04b.c": Prediction(
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
            "Here it was {forward_kl:.1f} times for forward KL and {jsd:.1f} times for JSD. It depends on the caches, "
            "on what it costs to ask the system for memory, and on who else uses the cores."
        ),
    ),
}

QUIZ = (
    Question(
        "You halve the number of rows in a chunk of the plain operations on a GPU. The bytes moved per logit …",
        {
            "stay": "As long as a chunk is larger than the cache, chunking saves what is held, not what is moved.",
            "halve": "Each logit still goes through every operation.",
            "double": "No logit is visited twice because of it.",
        },
        right="stay",
    ),
    Question(
        "A kernel's point lies on the slope of the roof, far left of the corner. What makes it faster?",
        {
            "fewer bytes per logit": "Its memory is the limit: less to move is less to wait for.",
            "a cheaper exponential": "The exponentials wait for the bytes already.",
            "more registers for each thread": "Only if they save a visit to memory.",
        },
        right="fewer bytes per logit",
    ),
    Question(
        "A larger BLOCK makes a kernel spill. What does a spill cost?",
        {
            "registers are written to memory and read back": "The bytes that fusing saved come back by another door.",
            "digits: the numbers are rounded to 16 bits": "They keep their size; they only live elsewhere.",
            "nothing but a longer compilation": "The compiler is done; every run pays.",
        },
        right="registers are written to memory and read back",
    ),
    Question(
        "A test with 100 rows of V = 128,256 passes. In training, rows from 16,744 on are wrong. Why?",
        {
            "n·V is computed in 32 bits": "Row 16,744 is the first that begins beyond 2³¹ − 1.",
            "the mask is missing at the last block": "Then the 100 rows would have shown it.",
            "fp32 has too few digits for a row": "Digits do not depend on the row's number.",
        },
        right="n·V is computed in 32 bits",
    ),
)
