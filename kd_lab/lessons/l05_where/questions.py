"""The questions of lesson 05: predictions before the experiments, and the quiz."""

from kd_lab.classroom.questions import Prediction, Question

PREDICTIONS = {
    "05.a": Prediction(
        (
            "A student that never finds back writes texts twice as long. To first order in ε the error of a text "
            "becomes …"
        ),
        options=(
            "twice as large",
            "four times as large",
            "no larger: it is lost already",
        ),
        right="four times as large",
        because="L(L−1)/2: twice as many steps to slip at, and twice as long to suffer from it.",
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
            "a steady hand: it can equal the teacher on its road",
            "a forgiving language: after a note played twice, all goes on as usual",
            "stumbling texts: one note in 20 of the training texts is random, with the teacher's labels beside it",
        ),
        right="stumbling texts: one note in 20 of the training texts is random, with the teacher's labels beside it",
        because=(
            "They show both the mistake and the way back. A steady hand helps in nats, the more the longer it "
            "practises; a language that forgives keeps growth linear."
        ),
    ),
    "05.d": Prediction(
        (
            "The off-policy student goes on for 60 more steps, on the teacher's texts again. At the prefixes just "
            "behind a note played twice its KL …"
        ),
        options=(
            "falls by half",
            "rises",
            "does not change at all",
        ),
        right="does not change at all",
        because=(
            "The row of the table that it would take is never read in the teacher's texts, so no gradient ever comes "
            "by."
        ),
    ),
    "05.e": Prediction(
        (
            "On surnames, on-policy forward KL beside as many more steps at word level. Held-out bits per character "
            "are …"
        ),
        options=(
            "clearly better",
            "no better",
        ),
        right="no better",
        because=(
            "What it practises on are its own names, and held-out names are not like them: what helps the one is not "
            "quite what the other asks for."
        ),
    ),
}

QUIZ = (
    Question(
        "In on-policy distillation the student's tokens serve as …",
        {
            "prefixes": "Yes: they decide where teacher and student are compared.",
            "labels": "Then it would be praised for whatever it wrote, mistakes included.",
            "rewards": "There is no reward here: the teacher gives whole distributions.",
        },
        right="prefixes",
    ),
    Question(
        "ExAccErr fell from 5 to 2 and R(L) rose. What happened?",
        {
            "the error on the teacher's prefixes rose even more": "Yes: the measure is a ratio.",
            "exposure bias was cured": "The text as a whole got worse. Look at the nats.",
            "this cannot happen": "R = lε·(1 + ExAccErr): it can, if ε rises.",
        },
        right="the error on the teacher's prefixes rose even more",
    ),
    Question(
        "Which student profits least from on-policy training?",
        {
            "one whose language forgives mistakes": "Yes: its own prefixes are as good as the teacher's.",
            "one with an unsteady hand": "It will go on slipping, and has to learn the way back.",
            "one that was trained on flawless texts": "Flawless texts show no repair: it has most to gain.",
        },
        right="one whose language forgives mistakes",
    ),
    Question(
        (
            "Scheduled sampling feeds the student its own tokens and keeps the data's next token as the label. "
            "Behind a slip that label is …"
        ),
        {
            "what was right in another text": "Yes: it belongs to the prefix of the data, not to the student's.",
            "what the teacher would say": "Nobody asked a teacher; that is what on-policy distillation adds.",
        },
        right="what was right in another text",
    ),
)
