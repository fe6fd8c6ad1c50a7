"""The first look at the course: `kd-lab lab` opens the copy of a lesson, and nothing stands in its way."""

import pytest
from lab_driver import PATIENCE, running_lab
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

IDLE = "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"


def test_it_opens_the_lesson_without_a_question_or_a_dirty_tab(browser, tmp_path):
    root = tmp_path / "mine"
    command = ("kd_lab", "lab", "03", "--dir", "{root}")
    with running_lab(root, tmp_path / "home", tmp_path / "cache", command) as lab:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(PATIENCE * 1000)
        page.goto(f"{lab.url}/lab/tree/03_which_kl.ipynb?token={lab.token}")
        page.wait_for_function(IDLE)
        page.evaluate("async () => { await window.jupyterapp.restored; }")
        page.wait_for_timeout(3000)  # the question about news comes a moment later
        assert page.locator(".jp-Dialog, .Toastify__toast").all_inner_texts() == []
        expect(page.locator(".jp-mod-dirty")).to_have_count(0)
        expect(page.locator(".jp-DirListing-item").filter(has_text="00_the_map.ipynb")).to_be_visible()
        page.close()
