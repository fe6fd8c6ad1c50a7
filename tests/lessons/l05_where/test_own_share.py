"""The explorer of own share × fixed texts says what the stored runs say, pair by pair."""

from kd_lab.lessons.l05_where.few_texts import SHARES, stored
from kd_lab.lessons.l05_where.own_share import own_share_explorer
from kd_lab.viz.sweep import sweep


def test_few_texts_gain_and_many_lose():
    explorer = own_share_explorer(stored(), SHARES, "own-share-under-test")
    try:
        sweep(explorer)
        assert explorer.sentence.endswith("with no text of the student's own.")
        few, many = (explorer.draw({"fixed names": size, "own share λ": 0.5}).sentence for size in (100, 18_012))
        assert (
            few == "100 fixed names, λ = 0.5: 2.95 nats per name from the teacher, 0.34 ± 0.14 nearer than with λ = 0."
        )
        assert "0.12 ± 0.04 farther" in many
        assert [line.get_ydata()[0] for line in explorer._artists["lines"]] == [0.0] * 4
    finally:
        explorer.close()
