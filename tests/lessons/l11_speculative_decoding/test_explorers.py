import pytest
import torch

from kd_lab.lessons.l11_speculative_decoding.explorers import rounds_explorer, speed_explorer
from kd_lab.lessons.l11_speculative_decoding.figures import bodies_figure, drafts_figure, hook_figure, settings_table
from kd_lab.lessons.l11_speculative_decoding.results import load_results, stored_draft
from kd_lab.lessons.l11_speculative_decoding.rounds import LETTERS, cells, checked, deciding_place, letters, write
from kd_lab.measure.acceptance import best_guesses, speedup
from kd_lab.models import load_teacher
from kd_lab.models.speculative import Round, Speculation
from kd_lab.viz.sweep import sweep


@pytest.fixture(scope="module")
def target():
    return load_teacher("surnames")


def test_cells_tell_what_stands_what_fell_and_what_was_never_checked():
    """Three guesses, the second of which falls; then one that stands, with a token behind it."""
    text = Speculation(torch.tensor([0, 1, 5, 3, 0]), (Round((1, 2, 4), 1, (1, 5)), Round((3,), 1, (3, 0))))
    seen = [(c.row, c.column, c.letter, c.kind, c.fallen) for c in cells(text)]
    a, b, c, d, e = "abcde"
    assert seen == [
        (0, 0, a, "stands", ""),
        (0, 1, e, "target", b),
        (0, 2, d, "unchecked", ""),
        (1, 0, a, "before", ""),
        (1, 1, e, "before", ""),
        (1, 2, c, "stands", ""),
        (1, 3, "·", "target", ""),
    ]
    assert [checked(one) for one in text.rounds] == [2, 1]


def test_the_deciding_place_shows_the_three_distributions(target):
    draft = stored_draft("text only")
    places = [deciding_place(write(target, draft, 4, number), target, draft) for number in range(1, 9)]
    assert any(place.token is not None for place in places)
    for place in places:
        overlap = torch.minimum(place.draft, place.target)
        torch.testing.assert_close(overlap + (1 - overlap.sum()) * place.residual, place.target)
        if place.token is not None:
            assert place.residual[place.guess] == 0
            assert place.residual[place.token] > 0


def test_the_rounds_explorer_counts_calls_and_tokens(target):
    explorer = rounds_explorer(target)
    explorer.set({"guesses ahead γ": 2, "text": 5})
    text = write(target, stored_draft("forward KL"), 2, 5)
    name = "".join(letters()[x] for x in text.tokens[1:])
    assert f"{len(text.tokens) - 1} tokens of “{name}” took {text.calls} calls" in explorer.sentence
    ahead = explorer.draw(explorer.presets["eight guesses ahead"])
    assert "took 1 call of the target;" in ahead.sentence
    assert sweep(explorer) > 6
    explorer.close()


def test_no_text_leaves_the_grid(target):
    for source in ("text only", "forward KL"):
        for number in (1, 7, 23):
            text = write(target, stored_draft(source), 1, number)
            assert max(cell.column for cell in cells(text)) < LETTERS
            assert text.calls <= LETTERS


def test_the_speed_explorer_agrees_with_the_library():
    explorer = speed_explorer()
    explorer.set({"acceptance α": 0.7, "cost of a guess c": 0.1})
    best = best_guesses(0.7, 0.1, most=16)
    assert f"γ = {best} is best and {speedup(0.7, best, 0.1):.2f} times" in explorer.sentence
    explorer.set({"acceptance α": 0.3, "cost of a guess c": 0.5})
    assert "no γ pays" in explorer.sentence
    assert sweep(explorer) > 6
    explorer.close()


def test_pictures_and_tables_are_drawn_from_what_is_stored(target):
    results = load_results()
    assert len(drafts_figure(results).axes) == 2
    assert settings_table(results, ["text only"]).count("±") == len(results.about["settings"])
    texts = {"one": write(target, stored_draft("forward KL"), 1, 3)}
    assert hook_figure(texts).axes[0].get_title(loc="left") == "one"
    assert callable(bodies_figure)
