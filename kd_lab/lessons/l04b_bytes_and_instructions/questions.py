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
            "It is {fp32:.0f}. The arithmetic is in fp32 either way; 16-bit logits add three conversions of 6 bytes "
            "each: student, teacher and gradient."
        ),
    ),
    "04b.b": Prediction(
        "The kernel is compiled for V = 128,256 (which 16 divides) and for V = 50,257 (which is odd). What differs?",
        options=(
            "nothing",
            "for the odd V, no load is a vector",
            "for the odd V, the last block only is slower",
        ),
        right=lambda vector_loads: 0 if vector_loads else 1,  # None where nothing could be compiled
        because=(
            "Row n begins at element n·V. If V is odd, seven rows out of eight begin at an address that 16 does not "
            "divide, where a 16-byte load is not allowed. And the mask may end in the middle of a vector."
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
        right=lambda forward_kl, **_: 2 if forward_kl > 3.5 else 1 if forward_kl > 1.5 else 0,
        because=(
            "Here it was {forward_kl:.1f} times for forward KL and {jsd:.1f} times for JSD. It depends on the caches, "
            "on what the system takes to hand out memory, and on what else runs on the cores."
        ),
    ),
}

QUIZ = (
    Question(
        (
            "You halve the number of rows in a chunk of the plain operations on a GPU; it is still larger than the "
            "cache. The bytes moved per logit …"
        ),
        {
            "stay": "Chunking lowers what is held. Only a chunk that fits into the cache would lower what is moved.",
            "halve": "Each logit still goes through every operation.",
            "double": "No logit is visited twice because of it.",
        },
        right="stay",
    ),
    Question(
        "A kernel's point lies on the slope of the roof, far left of the corner. What makes it faster?",
        {
            "fewer bytes per logit": "Its memory is the limit: less to move is less to wait for.",
            "a cheaper exponential": "The exponentials are already waiting for the bytes.",
            "more registers for each thread": "Only if they save a visit to memory.",
        },
        right="fewer bytes per logit",
    ),
    Question(
        "A larger BLOCK makes a kernel spill. What does a spill cost?",
        {
            "registers are written to memory and read back": "The bytes that fusing saved come back as spills.",
            "digits: the numbers are rounded to 16 bits": "The numbers keep their 32 bits; they only live elsewhere.",
            "nothing but a longer compilation": "Every run pays, long after the compiler is done.",
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
