import kd_lab
from kd_lab.book.reference import (
    claims_page,
    documented,
    lessons_by_target,
    link_targets,
    method_pages,
    methods_table,
    package_line,
    public_names,
    reference_page,
)
from kd_lab.classroom.claims import claims_of
from kd_lab.classroom.lesson import find_lessons
from kd_lab.how import divergences

(LESSON,) = find_lessons(numbers=["03"])


def test_every_name_that_the_package_exports_has_a_target():
    targets = link_targets()
    missing = [name for name in kd_lab.__all__ if name not in targets and callable(getattr(kd_lab, name))]
    assert missing == []
    assert targets["softmax_kl"] == "kd_lab.how.softmax_kl"


def test_a_modules_names_stand_in_the_order_of_its_file():
    names = public_names(divergences)
    assert names.index("forward_kl") < names.index("reverse_kl")
    assert "DIVERGENCES" not in names
    assert all(not name.startswith("_") for name in names)


def test_the_page_of_a_package_documents_each_export_once():
    page = reference_page("how")
    assert page.count(".. autofunction:: kd_lab.how.softmax_kl\n") == 1
    assert ".. autofunction:: kd_lab.how.softmax_kl.softmax_kl" not in page


def test_each_method_has_a_page_with_its_three_choices():
    pages = method_pages([LESSON])
    assert {"gkd", "minillm", "hinton"} <= set(pages)
    assert "   * - logits\n     - JSD(0.5)\n     - mix, λ = 0.5" in pages["gkd"]


def test_every_claim_has_a_row_that_leads_to_it():
    page, claims = claims_page([LESSON]), claims_of(LESSON)
    assert page.count("\n| <a id=") == len(claims)
    assert "lessons/03_which_kl.html#claim-c03b-3" in page


def test_a_name_that_several_modules_define_leads_to_what_a_package_exports_or_nowhere():
    targets, homes = link_targets(), documented()
    assert targets["show"] == "kd_lab.viz.show"
    ambiguous = {name for name in {target.rpartition(".")[2] for target in homes} if name not in targets}
    assert ambiguous
    assert all(sum(target.endswith(f".{name}") for target in homes) > 1 for name in ambiguous)


def test_a_lesson_is_found_by_what_it_imports_or_reads_off_a_package():
    found = lessons_by_target([LESSON])
    assert found["kd_lab.how.forward_kl"] == ["03_which_kl"]  # how.forward_kl
    assert found["kd_lab.viz.show"] == ["03_which_kl"]  # from kd_lab.viz import show
    assert "kd_lab.how.softmax_kl" not in found


def test_the_pages_in_front_say_what_stands_behind_each_link():
    assert "| {doc}`GKD <gkd>` | logits | JSD(0.5) | mix, λ = 0.5 |" in methods_table()
    assert len(methods_table()) == len(method_pages([])) + 2
    assert package_line("how").startswith("- {doc}`kd_lab.how <how>`: HOW the gap between student and teacher")
