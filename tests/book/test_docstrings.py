from kd_lab.book.docstrings import escape


def escaped(text, what="function"):
    lines = text.split("\n")
    escape(what, lines)
    return "\n".join(lines)


def test_signs_of_mathematics_are_no_markup():
    assert escaped("Σ |a − b|, *args and l02_ stand") == r"Σ \|a − b\|, \*args and l02\_ stand"


def test_code_and_examples_are_left_alone():
    assert escaped("`a|b` and **bold**") == "`a|b` and **bold**"
    assert escaped(">>> 2 ** 3 | 1\n9") == ">>> 2 ** 3 | 1\n9"


def test_code_with_an_ending_is_closed():
    assert escaped("two `Head`s") == "two `Head`\\ s"


def test_a_table_of_markdown_is_shown_as_it_stands():
    assert escaped("| a | b |\n|---|---|") == "::\n\n   | a | b |\n   |---|---|"


def test_a_propertys_first_line_may_hold_a_colon():
    assert escaped("Whether: yes", "property") == "\nWhether: yes"
