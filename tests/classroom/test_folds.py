"""Which saved outputs are folded."""

from nbformat.v4 import new_code_cell, new_markdown_cell

from kd_lab.classroom.folds import fold_answers


def folded(*sources):
    """The places of the cells whose outputs are folded; a source that begins with # is text."""
    cells = [new_markdown_cell(one) if one.startswith("#") else new_code_cell(one) for one in sources]
    fold_answers(cells)
    return [i for i, cell in enumerate(cells) if cell.metadata.get("jupyter", {}).get("outputs_hidden")]


def test_what_stands_between_a_question_and_its_answer_is_folded():
    assert folded('show("hook")', 'predict("97.a")', "# text", "train()", 'reveal("97.a", gain=1)', "# text", "3") == [
        3,
        4,
    ]


def test_claims_that_follow_an_answer_without_a_word_are_folded():
    assert folded('predict("97.a")', 'reveal(\n    "97.a",\n)', 'claim("C97a")', "# text", 'claim("C97b")') == [1, 2]


def test_the_first_of_two_answers_does_not_open_the_second():
    sources = (
        'predict("97.a")\npredict("97.b")',
        'reveal("97.a")',
        "# text",
        "train()",
        'reveal("97.b")',
        "# text",
        "3",
    )
    assert folded(*sources) == [1, 3, 4]


def test_an_exercise_stays_open_and_hidden_code_stays_hidden():
    cells = [
        new_code_cell('predict("97.a")'),
        new_code_cell('@exercise("97.1")\ndef f(): ...'),
        new_code_cell('reveal("97.a")'),
    ]
    cells[2].metadata["jupyter"] = {"source_hidden": True}
    fold_answers(cells)
    assert "jupyter" not in cells[1].metadata
    assert cells[2].metadata["jupyter"] == {"source_hidden": True, "outputs_hidden": True}


def test_a_question_between_another_and_its_answer_stays_open():
    assert folded('predict("97.a")', "train()", 'predict("97.b")', 'reveal("97.a")', 'reveal("97.b")') == [1, 3, 4]
