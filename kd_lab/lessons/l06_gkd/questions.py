"""The questions of lesson 06: predictions before the experiments, and the quiz."""

from kd_lab.classroom.questions import Prediction, Question

PREDICTIONS = {
    "06.a": Prediction(
        (
            "One student is trained by word_level(), a copy of it by GKD with forward KL and λ = 0, from the same "
            "seed. After 6 steps their weights are …"
        ),
        options=(
            "the same, bit for bit",
            "the same up to rounding",
            "different: GKD has tossed coins in between",
        ),
        right="the same, bit for bit",
        because=(
            "The coins have a random stream of their own, so tossing them disturbs nothing. A library that draws coins "
            "and batches from one stream gives you the third."
        ),
    ),
    "06.b": Prediction(
        "TRL, beta = 0.98. Compared with beta = 1 the gradient of the loss is …",
        options=(
            "nearly the same",
            "of the same direction, and less than a twentieth as long",
            "of another direction",
        ),
        right="of the same direction, and less than a twentieth as long",
        because="Near that end JSD(β) is about (1 − β)·KL(q‖p): reverse KL's direction, and about 0.02 of its length.",
    ),
    "06.c": Prediction(
        (
            "JSD with λ = ½ is often called robust. Two worlds and two judges make four tables of thirty cells. "
            "In how many of them is it the best cell?"
        ),
        options=("in all four", "in two", "in none"),
        right="in none",
        because="{best_cells}. Robust may still mean: nowhere best, nowhere bad.",
    ),
    "06.d": Prediction(
        (
            "Run C shows seven times the healthy run's loss from the first step to the last, and its student is as "
            "good. Its fault is …"
        ),
        options=("padding counted", "batchmean", "teacher softened alone", "direction swapped"),
        right="batchmean",
        because=(
            "A sum over positions, divided by the number of texts, is the mean times the positions per text: about "
            "seven, with the end mark. Adam divides the factor out again."
        ),
    ),
    "06.e": Prediction(
        (
            "Run E ends nearly twice as far from the teacher as the healthy run by KL(P‖Q), and about as far by "
            "KL(Q‖P). Its fault is …"
        ),
        options=("end dropped", "off by one", "direction swapped", "teacher in train mode"),
        right="direction swapped",
        because="It minimises reverse KL, which forgives a student that leaves things out; so does the judge KL(Q‖P).",
    ),
}

QUIZ = (
    Question(
        "A paper sets λ = 0.9 in DistiLLM's jsd. You use TRL. Which beta trains alike?",
        {
            "0.1": "Yes: DistiLLM counts the student's share.",
            "0.9": "That would be right for DistiLLM-2, whose α is the teacher's share.",
            "0.9, with the loss doubled": "No factor repairs an exchanged mixture.",
        },
        right="0.1",
    ),
    Question(
        "Your trainer shows a JSD loss of 0.004 at β = 0.01 after the first step. That means …",
        {
            "little: the loss is at most 0.06 there": (
                "Yes: JSD(β) ≤ −β ln β − (1−β) ln(1−β), which is 0.056 at 0.01."
            ),
            "the student is nearly the teacher": "Divide by β: 0.4 nats per position is far away.",
            "there is a bug": "Not necessarily: the loss shrinks with β by itself.",
        },
        right="little: the loss is at most 0.06 there",
    ),
    Question(
        "λ = 1, and the student writes at temperature 0.7. Its prefixes are …",
        {
            "likelier than those it will visit at temperature 1": (
                "Yes: λ = 1 is on-policy only for a student that is deployed at 0.7."
            ),
            "those that it will visit at temperature 1": "At 0.7 it writes likelier texts than it will write at 1.",
            "the teacher's": "The teacher only judges them.",
        },
        right="likelier than those it will visit at temperature 1",
    ),
    Question(
        (
            "A colleague compares forward KL and reverse KL by held-out KL(P‖Q) and finds forward KL better. What "
            "has been shown?"
        ),
        {
            "that forward KL was minimised": ("Yes: it wins under its own judge. Ask for a second one."),
            "that forward KL is the better loss": "Another judge may reverse the order.",
            "nothing": "It does show that training worked, and by how much.",
        },
        right="that forward KL was minimised",
    ),
)
