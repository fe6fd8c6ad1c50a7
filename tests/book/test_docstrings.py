from kd_lab.book.docstrings import escape, in_lessons


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


def test_a_name_of_the_library_is_a_link_and_an_example_is_not():
    lines = ["as `k1` and `k1(q, p)`s, not `k2`", ">>> `k1`"]
    escape("function", lines, {"k1": "kd_lab.how.k1"})
    assert lines == ["as `k1 <kd_lab.how.k1>` and `k1(q, p) <kd_lab.how.k1>`\\ s, not `k2`", ">>> `k1`"]


def test_a_docstring_leads_to_the_lessons_that_use_its_name():
    assert in_lessons([], 17) == []
    assert in_lessons(["03_a", "05_b"], 17)[1] == "In lessons :doc:`03 </lessons/03_a>`, :doc:`05 </lessons/05_b>`."
    assert in_lessons([str(i) for i in range(9)], 17)[1] == "In most lessons."
