"""The questions of lesson 11: predictions before the experiments, and the quiz."""

from kd_lab.classroom.questions import Prediction, Question

PREDICTIONS = {
    "11.a": Prediction(
        "A draft has learned nothing: it guesses tokens at random. Its guesses are checked, and those that stand are "
        "kept. The text that comes out is …",
        options=(
            "the target's, exactly",
            "between the target's and the draft's",
            "the target's, but for rare tokens",
        ),
        right="the target's, exactly",
        because="Listing every outcome, the largest difference is {error:.0e}. The draft decides the speed alone.",
    ),
    "11.b": Prediction(
        "Forward KL's draft and the target are now deployed at top-p 0.6: both draw only from their likeliest tokens, "
        "those that hold 60 % of the probability. How many of 100 checked guesses stand?",
        options=(
            "at least three more than at τ = 1: both are surer",
            "as many as before, give or take three",
            "at least three fewer: two cuts in different places",
        ),
        right=lambda plain, cut: 0 if cut > plain + 0.03 else 2 if cut < plain - 0.03 else 1,
        because="Its acceptance is {plain:.3f} at τ = 1 and {cut:.3f} at top-p 0.6. Reverse KL's draft fares worse.",
    ),
    "11.c": Prediction(
        "Total variation is 1 − α, the very thing that counts. After 300 steps from a cold start, the draft with the "
        "highest acceptance was trained with …",
        options=("total variation", "forward KL", "reverse KL", "−log α"),
        right=lambda asked, order: asked.index(max(asked)),
        because="In this order: {order}.",
    ),
    "11.d": Prediction(
        "The draft has one block, the target four. About four of five guesses stand, three are made ahead. On this "
        "machine speculative decoding writes …",
        options=(
            "more than twice as fast as the target alone",
            "1.2 to 2 times as fast",
            "hardly faster, or slower",
        ),
        right=lambda measured, **_: 0 if measured > 2 else 1 if measured > 1.2 else 2,
        because=(
            "Measured: {measured:.2f} times. A guess costs {cost:.2f} of a target's token, and reading four tokens "
            "{verification:.2f} times as much as reading one."
        ),
    ),
}

QUIZ = (
    Question(
        "A draft is exchanged for one with half the acceptance. What changes in the texts of a server that decodes "
        "speculatively, at τ = 1?",
        {
            "nothing: the texts have the same distribution": (
                "What a guess leaves open, the residual pays. Only the number of calls changes."
            ),
            "they get worse: more of the draft's guesses are wrong": "A wrong guess falls; it never reaches the text.",
            "they get less varied, since more tokens come from the target": (
                "Every token has the target's distribution, whichever model wrote it."
            ),
        },
        right="nothing: the texts have the same distribution",
    ),
    Question(
        "p = (0.6, 0.4), q = (0.9, 0.1). How often does a guess stand?",
        {
            "0.7": "min(0.6, 0.9) + min(0.4, 0.1) = 0.6 + 0.1.",
            "0.58": "That is Σ p·q, the chance that two independent draws agree.",
            "0.3": "That is the total variation: the share of guesses that fall.",
        },
        right="0.7",
    ),
    Question(
        "The server cuts both models at top-p 0.9, but the test divides by the draft's probabilities before the cut. "
        "What follows?",
        {
            "the texts are no longer the target's": (
                "A guess was drawn with its probability after the cut. Dividing by another number pays the wrong debt."
            ),
            "only the acceptance changes": "That would be so if the test and the drawing still agreed.",
            "nothing, since the ratio decides": "The ratio is wrong by the draft's share inside the cut.",
        },
        right="the texts are no longer the target's",
    ),
    Question(
        "α = 0.8 and γ = 4. A target's call brings 3.4 tokens, and yet decoding is slower than before. What is the "
        "likeliest cause?",
        {
            "guesses cost nearly as much as the target's tokens": (
                "Four guesses at c = 0.8 take as long as 3.2 calls: 3.4 tokens in 4.2 units of time, in which the "
                "target alone writes 4.2."
            ),
            "the residual is expensive to draw from": "It is one subtraction for each rejected guess.",
            "α is too low for any γ to pay": "At c = 0 every α above 0 pays.",
        },
        right="guesses cost nearly as much as the target's tokens",
    ),
)
