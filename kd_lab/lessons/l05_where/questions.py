"""The questions of lesson 05: predictions before the experiments, and the quiz."""

from kd_lab.classroom.questions import Prediction, Question

PREDICTIONS = {
    "05.a": Prediction(
        (
            "A student that never finds its way back writes texts twice as long. To first order in ε the error of a "
            "text becomes …"
        ),
        options=(
            "twice as large",
            "four times as large",
            "no larger: it is lost already",
        ),
        right="four times as large",
        because="L(L−1)/2: there are twice as many steps to slip at, and what follows a slip is twice as long.",
    ),
    "05.b": Prediction(
        (
            "Off-policy, twice the length makes R more than three times as large. The same student, trained "
            "on-policy for as many steps:"
        ),
        options=(
            "also more than three times",
            "between 2 and 3 times",
            "less than twice",
        ),
        right="between 2 and 3 times",
        because="It is {on_policy:.2f} here, against {off_policy:.2f}.",
    ),
    "05.c": Prediction(
        "Which off-policy student ends with the smallest excess, R − lε in nats at 24 tokens?",
        options=(
            "a steady hand: without slips it can equal the teacher on its road",
            "stumbling texts: one token in 20 of them is random, labelled by the teacher",
            "a forgiving language: a note played twice has no consequences",
        ),
        right="stumbling texts: one token in 20 of them is random, labelled by the teacher",
        because=(
            "They show both the mistake and the way back. A steady hand makes mistakes rarer, and ever rarer with "
            "practice, but each costs as much as before; a forgiving language makes growth linear."
        ),
    ),
    "05.d": Prediction(
        (
            "The off-policy student goes on for 60 more steps, on the teacher's texts again. At prefixes that end in a "
            "note played twice its KL …"
        ),
        options=(
            "falls by half",
            "rises",
            "does not change at all",
        ),
        right="does not change at all",
        because=(
            "The rows of the table that are needed there are never read in these texts, so they never receive a "
            "gradient."
        ),
    ),
    "05.e": Prediction(
        (
            "Surnames: a student goes on for more steps with on-policy forward KL, a copy of it for as many at word "
            "level. The first one's held-out bits per character are …"
        ),
        options=(
            "clearly better",
            "no better",
        ),
        right="no better",
        because=(
            "There is little exposure bias to cure, and in so few steps hardly any of the 18,012 names is read twice. "
            "The student practises on its own names, and held-out names are not like them."
        ),
    ),
}

QUIZ = (
    Question(
        "In on-policy distillation the student's tokens serve as …",
        {
            "prefixes": "They decide where student and teacher are compared.",
            "labels": "Then it would be praised for whatever it wrote, mistakes included.",
            "rewards": "There is no reward here: the teacher gives whole distributions.",
        },
        right="prefixes",
    ),
    Question(
        "ExAccErr fell from 5 to 2 and R(L) rose. What happened?",
        {
            "the error on the teacher's prefixes rose even more": "The measure is a ratio.",
            "exposure bias was cured, and the texts became better": "The texts as a whole got worse. Look at the nats.",
            "nothing real: the two can only rise or fall together": "R = lε·(1 + ExAccErr): they part if ε rises.",
        },
        right="the error on the teacher's prefixes rose even more",
    ),
    Question(
        "A student with a steady hand practises off-policy for longer and longer. Its exposure bias, in nats, …",
        {
            "vanishes at once: there are no slips any more": (
                "It still errs as long as its training is finite, and each mistake still lasts to the end."
            ),
            "shrinks, and goes on growing like L² with the length": (
                "Mistakes become rarer; what a mistake costs has not changed."
            ),
            "stays as it was: it never sees the way back": (
                "It need not see the way back where it hardly ever leaves the road."
            ),
        },
        right="shrinks, and goes on growing like L² with the length",
    ),
    Question(
        "With 18,012 fixed names, own texts lead a student away from its teacher, with 100 towards it. Why with 100?",
        {
            "mistakes last longer in rare names": "The names are of the same kind: a wrong letter is soon forgotten.",
            "they are new prefixes where few are left": "The teacher has something new to say about each of them.",
            "a student of few names slips more often": "A slip does no harm by itself; what counts is what is learned.",
        },
        right="they are new prefixes where few are left",
    ),
    Question(
        (
            "Scheduled sampling feeds the student its own tokens and keeps the data's next token as the label. "
            "After a slip that label is …"
        ),
        {
            "what was right in another text": "It belongs to the prefix of the data, not to the student's.",
            "what the teacher would say here": "Nobody asked a teacher; that is what on-policy distillation adds.",
        },
        right="what was right in another text",
    ),
)
