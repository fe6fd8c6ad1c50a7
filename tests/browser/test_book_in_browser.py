"""The book as a reader without a kernel meets it: built, its links followed, a recorded explorer moved."""

import re
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest
from lab_driver import PATIENCE, faults_of

from kd_lab.book.__main__ import build
from kd_lab.classroom.lesson import find_lessons

pytestmark = [pytest.mark.browser, pytest.mark.lesson]

RECORDED = "03"


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """The whole book, with one lesson's explorers recorded."""
    return build(tmp_path_factory.mktemp("book"), [], [RECORDED])


class Page(HTMLParser):
    """The ids, links and pictures of a page."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.without_alt = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.ids.update(filter(None, (attributes.get("id"), attributes.get("name"))))
        for name in ("href", "src"):
            if attributes.get(name) and tag != "link":
                self.links.append(attributes[name])
        if tag == "img" and not attributes.get("alt"):
            self.without_alt.append(attributes.get("src"))


def test_sphinx_has_nothing_to_complain_of(book):
    log = re.sub(r"\x1b\[[0-9;]*m", "", (book.parent / "sphinx.log").read_text(encoding="utf-8"))
    assert [line for line in log.splitlines() if "WARNING" in line or "ERROR" in line] == []


def test_every_link_inside_leads_somewhere_and_every_picture_has_words(book):
    pages = {
        file: Page(file.read_text(encoding="utf-8")) for file in book.rglob("*.html") if "_static" not in file.parts
    }
    assert {f"{lesson.name}.html" for lesson in find_lessons()} <= {file.name for file in pages}
    dead = []
    for file, page in pages.items():
        assert page.without_alt == [], file
        for link in page.links:
            place = urlsplit(link)
            if place.scheme or (link.startswith("#") and not place.fragment):
                continue
            target = (file.parent / unquote(place.path)).resolve() if place.path else file
            target = target / "index.html" if target.is_dir() else target
            if not target.exists() or (
                place.fragment and target in pages and unquote(place.fragment) not in pages[target].ids
            ):
                dead.append((file.name, link))
    assert dead == []


def test_pages_lead_from_the_reference_to_lessons_and_show_shapes(book):
    page = (book / "reference" / "how.html").read_text(encoding="utf-8")
    assert 'href="../lessons/03_which_kl.html"' in page
    assert "Float" in page
    assert "V_teacher" in page
    assert 'rel="icon"' in page  # a served page without one asks for it and prints an error


def test_no_page_shows_markup_that_was_not_read(book):
    for file in (book / "lessons").glob("*.html"):
        text = file.read_text(encoding="utf-8").partition('class="bd-article"')[2]
        for mark in ("{py:obj}", "{{", "run this cell to move it", "Run this cell to answer"):
            assert mark not in text, (file.name, mark)


def test_a_lessons_pictures_are_at_most_three_megabytes(book):
    folders = list((book / "_static" / "recordings").iterdir())
    assert folders
    for folder in folders:
        assert sum(file.stat().st_size for file in folder.iterdir()) <= 3 * 2**20, folder


@pytest.mark.parametrize("path", ["lessons/03_which_kl.html", "reference/how.html", "methods/gkd.html"])
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_page_opens_on_laptop_and_phone_without_an_error_and_fetches_nothing_from_elsewhere(
    book, browser, path, width, scheme
):
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.set_default_timeout(PATIENCE * 1000)
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto((book / path).as_uri())
    page.wait_for_load_state("load")
    if "lessons" in path:
        page.locator("mjx-container").first.wait_for()
        assert page.locator(".bd-article").inner_text().count("$$") == 0
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert (
        faults_of(page, ".bd-article", without=".sig") == []
    )  # where Sphinx breaks long signatures as lists without terms
    page.close()


def test_a_recorded_slider_answers_to_its_keys_and_a_preset_to_a_click(book, browser):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(PATIENCE * 1000)
    page.goto((book / "lessons" / "03_which_kl.html").as_uri())
    explorer = page.locator(".playback").first
    slider, picture = explorer.get_by_role("slider", name="second mode at"), explorer.locator("img")
    before, words = picture.get_attribute("src"), picture.get_attribute("alt")
    for _ in range(6):
        slider.press("ArrowRight")
    assert picture.get_attribute("src") != before
    assert picture.get_attribute("alt") != words
    assert explorer.locator("p").inner_text() == picture.get_attribute("alt")
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    explorer.get_by_role("button", name="far apart").click()
    far = picture.get_attribute("src")
    explorer.get_by_role("button", name="Reset").click()
    assert picture.get_attribute("src") == before != far
    page.close()
