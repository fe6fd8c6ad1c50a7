from kd_lab.book.settings import application


def test_sphinx_stands_ready_with_nothing_to_fetch(tmp_path):
    source = tmp_path / "source"
    (source / "_static").mkdir(parents=True)
    (source / "index.md").write_text("# A page\n\n$x^2$, and `p|q`\n", encoding="utf-8")
    with (tmp_path / "log").open("w", encoding="utf-8") as log:
        app = application(source, tmp_path / "html", tmp_path / "cache", log)
        app.build()
    page = (tmp_path / "html" / "index.html").read_text(encoding="utf-8")
    assert app.statuscode == 0
    assert 'class="math notranslate nohighlight"' in page
    assert "//cdn" not in page
    assert 'src="http' not in page
