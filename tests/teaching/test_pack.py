"""The teacher's pack: notes for every lesson that agree with it, and pages that build, print and fetch nothing."""

import difflib
import re
import shutil
from functools import cache
from html.parser import HTMLParser

import nbformat
import pytest
from lab_driver import PATIENCE

from kd_lab.classroom.lesson import find_lessons
from kd_lab.classroom.overview import title_of
from kd_lab.classroom.questions import questions_of
from kd_lab.teaching import paper
from kd_lab.teaching.material import material_of as read_material
from kd_lab.teaching.notes import FILE, LENGTHS, notes_in
from kd_lab.teaching.pack import KINDS, NO_CHROMIUM, build, main
from kd_lab.teaching.pages import line, markdown, shortened
from kd_lab.teaching.slides import claim_slides, film_slides

LESSONS = find_lessons()
WITH_NOTES = [lesson for lesson in LESSONS if (lesson.folder / FILE).exists()]
each_with_notes = pytest.mark.parametrize("lesson", WITH_NOTES, ids=[lesson.number for lesson in WITH_NOTES])
PRINTED = "03"


@cache
def material_of(lesson):
    return read_material(lesson)


def plain(text):
    return " ".join(re.findall(r"\w+", text.lower()))


# ---- the notes -------------------------------------------------------------------------------------------------------


def test_every_lesson_has_teaching_notes():
    missing = {lesson.number for lesson in LESSONS if lesson not in WITH_NOTES}
    assert not missing, f"write {FILE} in the folders of lessons {sorted(missing)}, in the form of lesson 03's"


@each_with_notes
def test_notes_are_whole(lesson):
    notes = notes_in(lesson.folder)
    assert notes.title == title_of(lesson)
    assert 3 <= len(notes.goals) <= 6
    assert tuple(route.minutes for route in notes.routes) == LENGTHS
    assert len(notes.misconceptions) >= 4
    assert all(answer for _, answer in notes.misconceptions)
    assert len(notes.exam) >= 8


@each_with_notes
def test_every_question_to_discuss_stands_there_word_for_word(lesson):
    found = [" ".join(one.question.split()) for one in notes_in(lesson.folder).discussions]
    assert found == list(material_of(lesson).questions)


@each_with_notes
def test_no_question_of_the_quiz_is_repeated(lesson):
    quiz = [plain(one.text) for one in questions_of(lesson.number).QUIZ]
    for one in notes_in(lesson.folder).exam:
        asked = plain(one.question)
        assert not [known for known in quiz if known in asked], one.title
        likeness = max(difflib.SequenceMatcher(None, asked, known).ratio() for known in quiz)
        assert likeness < 0.6, f"“{one.title}” is too much like a question of the quiz ({likeness:.2f})"


@each_with_notes
def test_cells_that_are_named_exist(lesson):
    text, last = (lesson.folder / FILE).read_text(encoding="utf-8"), material_of(lesson).last_cell
    named = {int(number) for number in re.findall(r"(?<![\w$\\])\[(\d+)\](?!\()", text)}
    assert max(named, default=0) <= last


def numbers_of(notebook):
    """Every number that a built lesson shows, in its texts and in what its cells left."""
    seen = []
    for cell in nbformat.read(notebook, as_version=4).cells:
        seen.append(cell.source)
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            seen += [output.get("text", ""), data.get("text/plain", ""), data.get("text/markdown", "")]
            seen += re.findall(r'alt="([^"]*)"', data.get("text/html", ""))
    found = re.findall(r"\d[\d,]*\.?\d*(?:e[-+]?\d+)?", "\n".join(seen))
    return [float(number.replace(",", "")) for number in found]


@each_with_notes
def test_numbers_come_from_the_lesson(lesson):
    """Of the parts that speak of the lesson: an exam question has numbers of its own."""
    text = (lesson.folder / FILE).read_text(encoding="utf-8").partition("## Exam")[0].partition("## Routes")[2]
    text = re.sub(rf"\b{lesson.number}\.\d\b|\b0\d[a-z]?\.\d\b", "", text)  # the identifiers of exercises
    shown, strange = numbers_of(lesson.notebook), []
    for number in re.findall(r"(?<![\w.,])\d[\d,]*\.\d+(?![\w.])", text):
        value, digits = float(number.replace(",", "")), len(number.partition(".")[2])
        if not any(abs(one - value) <= 0.5001 * 10**-digits for one in (*shown, *(100 * one for one in shown))):
            strange.append(number)
    assert not strange, f"{lesson.number}: nothing that the lesson shows rounds to {strange}"


# ---- the pages -------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a page asks for, and its pictures without words."""

    def __init__(self, text):
        super().__init__()
        self.asked, self.without_alt = [], 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.asked += [given[name] for name in ("src", "href") if given.get(name)]
        self.without_alt += tag == "img" and not given.get("alt")


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    """The pack of all lessons that have notes, without paper."""
    folder = tmp_path_factory.mktemp("pack")
    build(folder)
    return folder


def test_the_pack_has_every_page_and_asks_for_nothing_from_elsewhere(pack):
    pages = sorted(pack.rglob("*.html"))
    wanted = {f"{lesson.name}/{kind}.html" for lesson in WITH_NOTES for kind in KINDS}
    wanted |= {"index.html", "syllabus_6_weeks.html", "syllabus_14_weeks.html", "projects.html"}
    assert {str(page.relative_to(pack)) for page in pages} == wanted
    for page in pages:
        found = Page(page.read_text(encoding="utf-8"))
        assert found.without_alt == 0
        for target in found.asked:
            assert target.startswith("data:") or (page.parent / target).exists(), (page, target)


@each_with_notes
def test_solutions_are_on_their_own_pages(pack, lesson):
    read = {kind: (pack / lesson.name / f"{kind}.html").read_text(encoding="utf-8") for kind in KINDS}
    for one in notes_in(lesson.folder).exam:
        assert markdown(one.question) in read["questions"]
        assert markdown(one.solution) not in read["questions"]
        assert markdown(one.solution) in read["solutions"]
    for claim in material_of(lesson).claims:
        assert claim.verdict in read["slides"]
    assert all(line(shortened(goal)) in read["plan"] for goal in notes_in(lesson.folder).goals)
    assert all(markdown(route.lead) in read["plan"] for route in notes_in(lesson.folder).routes)
    assert "$" not in re.sub(
        r"<style>.*?</style>|<script>.*?</script>|\\\(.*?\\\)", "", read["solutions"], flags=re.DOTALL
    )


def test_slides_hold_four_claims_or_two_pictures_each():
    (lesson,) = find_lessons(numbers=["03"])
    material = material_of(lesson)
    assert [one.count('class="claim"') for one in claim_slides(material.claims)] == [4, 4, 3]
    assert [one.count("<img") for one in film_slides(material.films[0])] == [2, 2]
    assert "Drag the second mode" in next(iter(film_slides(material.films[0])))


def test_a_lesson_without_notes_is_refused_and_a_machine_without_chromium_is_told(tmp_path, capsys, monkeypatch):
    for name in ("kd_lab", "lessons"):
        (tmp_path / name).mkdir()
    (lesson,) = find_lessons(numbers=["03"])
    bare = tmp_path / "kd_lab" / "lessons" / lesson.folder.name
    bare.mkdir(parents=True)
    shutil.copy(lesson.source, bare)
    with pytest.raises(ValueError, match=f"lesson 03 has no {FILE}"):
        build(tmp_path / "out", ["03"], root=tmp_path)
    monkeypatch.setattr("kd_lab.teaching.pack.chromium", lambda: None)
    assert main(["03", "--out", str(tmp_path / "pack")]) == 0
    assert NO_CHROMIUM in capsys.readouterr().err
    assert main(["77", "--out", str(tmp_path / "pack")]) == 1
    assert "there is no lesson 77" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("present", "chosen"),
    [
        ({}, None),
        ({"chromium": "snap", "google-chrome": "own"}, "google-chrome"),
        ({"chromium": "snap", "chromium-browser": "starts a snap", "chrome": "own"}, "chrome"),
        ({"chromium": "own", "chromium-browser": "starts a snap"}, "chromium"),
        ({"google-chrome": "own", "chromium": "own"}, "google-chrome"),
        ({"chromium": "snap", "chromium-browser": "starts a snap"}, "chromium"),
    ],
)
def test_a_browser_that_sees_no_page_under_tmp_is_taken_last(tmp_path, monkeypatch, present, chosen):
    """Ubuntu's chromium is a snap, with a /tmp of its own."""
    scripts = {"own": "#!/bin/sh\nexec /usr/lib/it\n", "starts a snap": '#!/bin/sh\nexec /snap/bin/chromium "$@"\n'}
    places = {}
    for name, kind in present.items():
        places[name] = f"/snap/bin/{name}" if kind == "snap" else str(tmp_path / name)
        if kind in scripts:
            (tmp_path / name).write_text(scripts[kind], encoding="utf-8")
    monkeypatch.setattr(paper, "ON_MACOS", tmp_path / "none")
    monkeypatch.setattr(shutil, "which", places.get)
    assert paper.chromium() == (chosen and places[chosen])


def test_a_chromium_that_prints_nothing_is_an_error_with_its_words(tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<p>one</p>", encoding="utf-8")
    with pytest.raises(ValueError, match=r"wrote no page\.pdf"):
        paper.print_page("true", page)


# ---- in Chromium -----------------------------------------------------------------------------------------------------


@pytest.mark.browser
def test_pages_print_to_as_many_sheets_as_they_have(browser, tmp_path):  # browser: skips without Chromium, fails in CI
    page, *_ = build(tmp_path, [PRINTED], program=paper.chromium())
    folder = next(path.parent for path in tmp_path.rglob("slides.pdf"))
    sheets = {file.stem: len(re.findall(rb"/Type\s*/Page\b(?!s)", file.read_bytes())) for file in folder.glob("*.pdf")}
    assert set(sheets) == set(KINDS)
    assert sheets["slides"] == (folder / "slides.html").read_text(encoding="utf-8").count('<section class="slide')
    assert sheets["plan"] == 3  # 50 minutes; the other two routes; what students say
    assert sheets["rubrics"] == 1
    assert b"+MathJax" in (folder / "solutions.pdf").read_bytes()  # formulas were set before the page was printed
    assert page.read_text(encoding="utf-8").count("PDF</a>") == len(KINDS) + 3


@pytest.mark.browser
@each_with_notes
def test_each_part_of_a_plan_fits_on_a_sheet(pack, browser, lesson):
    width, height = (round(mm * 96 / 25.4) for mm in (210 - 2 * 15, 297 - 2 * 12))  # A4 within its margins
    window = browser.new_page(viewport={"width": width, "height": height})
    window.set_default_timeout(PATIENCE * 1000)
    window.emulate_media(media="print")
    window.goto((pack / lesson.name / "plan.html").as_uri())
    window.wait_for_load_state("load")
    if window.locator("script[src*=mathjax]").count():
        window.evaluate("MathJax.startup.promise")
    begins = window.evaluate("[...document.querySelectorAll('.new-page')].map((one) => one.offsetTop)")
    ends = [*begins, window.evaluate("document.body.scrollHeight")]
    assert [end - begin <= height for begin, end in zip([0, *begins], ends, strict=True)] == [True] * 3
    window.close()


@pytest.mark.browser
@each_with_notes
def test_no_slide_is_cut_off_and_every_formula_is_set(pack, browser, lesson):
    asked, said = [], []
    window = browser.new_page(viewport={"width": 1400, "height": 800})
    window.set_default_timeout(PATIENCE * 1000)
    window.on("request", lambda request: asked.append(request.url))
    window.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    window.goto((pack / lesson.name / "slides.html").as_uri())
    window.wait_for_load_state("load")
    if window.locator("script[src*=mathjax]").count():
        window.evaluate("MathJax.startup.promise")
    cut = window.evaluate(
        "[...document.querySelectorAll('.slide')].map((s, i) => [i + 1, s.scrollHeight - s.clientHeight,"
        " s.scrollWidth - s.clientWidth]).filter(([, down, right]) => down > 0 || right > 0)"
    )
    assert cut == []
    assert window.locator("mjx-merror").count() == 0
    assert "\\(" not in window.locator("body").inner_text()
    window.keyboard.press("ArrowRight")
    window.keyboard.press("ArrowRight")
    window.wait_for_function("document.querySelectorAll('.slide')[2].getBoundingClientRect().top < 400")
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    window.close()
