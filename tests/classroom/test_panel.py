"""A panel reads the same as text, as HTML and as data."""

from kd_lab.classroom.panel import TONES, Panel


def test_a_panel_is_text_html_and_data():
    panel = Panel("02.1: not there yet", ("Compare `p < q`.",), ("case: p = (½, ½)",), "attention", {"a/b": {"id": 1}})
    bundle = panel._repr_mimebundle_()
    assert bundle["text/plain"] == "02.1: not there yet\n  Compare `p < q`.\n    case: p = (½, ½)"
    assert "<code>p &lt; q</code>" in bundle["text/html"]
    assert "<pre" in bundle["text/html"]
    assert TONES["attention"] in bundle["text/html"]
    assert bundle["a/b"] == {"id": 1}


def test_without_a_listing_there_is_no_empty_box():
    assert "<pre" not in Panel("right").html()


def test_css_goes_before_the_panel():
    assert Panel("right", style="a {color: red}").html().startswith("<style>a {color: red}</style><div")
    assert "<style>" not in Panel("right").html()
