import nbformat

from kd_lab.book.pages import asked, lesson_page, linked, playback, prediction, quiz
from kd_lab.classroom.lesson import find_lessons
from kd_lab.classroom.questions import questions_of

(LESSON,) = find_lessons(numbers=["03"])
RECORDED = {
    "explorers": {
        "one": {
            "controls": [{"name": "a", "kind": "Slider", "values": ["0", "1"]}],
            "start": [1],
            "presets": {},
            "size": [200, 100],
            "frames": {"0": ["zero.webp", "At 0."], "1": ["one.webp", "At 1 < 2."]},
        }
    },
    "predictions": {
        "03.z": {"question": "Predict: Which?", "options": ["this", "that"], "right": "that", "because": "It is."}
    },
}


def test_names_of_the_library_are_links_and_headings_and_blocks_are_left_alone():
    links = {"softmax_kl": "kd_lab.how.softmax_kl"}
    assert "{py:obj}`softmax_kl <kd_lab.how.softmax_kl>`" in linked("Use `softmax_kl` here.", links)
    for untouched in ("# On `softmax_kl`", "```python\n`softmax_kl`\n```", "`unknown`"):
        assert linked(untouched, links) == untouched


def test_a_link_out_of_the_book_becomes_a_path():
    assert linked("[losses](../kd_lab/a.py)", {}) == "losses (`kd_lab/a.py` in the repository)"


def test_an_explorer_plays_back_and_says_its_first_sentence_without_a_script():
    shown = playback(LESSON, "one", "At 1.", RECORDED)
    assert '<img src="../_static/recordings/03_which_kl/one.webp" alt="At 1 &lt; 2." width="200"' in shown
    assert '"frames":{"0":["zero.webp","At 0."]' in shown
    assert "one.webp" not in playback(LESSON, "one", "At 1.", None)


def test_a_prediction_unfolds_what_happened():
    text = "Predict: Which?\n  ○ this\n  ○ that\nRun this cell to answer."
    shown = prediction(text, RECORDED)
    assert "<li>this</li><li>that</li>" in shown
    assert "<details><summary>What happened</summary><p>That. It is.</p></details>" in shown
    assert "<details>" not in prediction(text, None)


def test_a_quiz_shows_every_question_with_its_answer_folded():
    shown, questions = quiz("03"), questions_of("03").QUIZ
    assert shown.count("<details>") == len(questions) == shown.count("<strong>")


def test_an_option_is_text_and_no_markup():
    assert "<b>" not in asked("q", ["<b>bold</b>", "no"])


def test_a_page_asks_for_no_kernel():
    page = lesson_page(LESSON, None, {})
    text = nbformat.writes(page)
    assert "run this cell to move it" not in text.lower()
    assert "Run this cell to answer" not in text
    assert "Covered until" not in text
    assert "not started" not in text
    assert text.count("In JupyterLab this cell checks your lines") == 3
    assert 'id=\\"claim-c03b-2\\"' in text
    assert "*40 minutes to read and do." in page.cells[0].source
    assert 'href=\\"../claims.html#claim-c03b-2\\"' in text
    assert len(page.cells) == len(nbformat.read(LESSON.notebook, as_version=4).cells)
