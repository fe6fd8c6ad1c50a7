"""What reaches the page; that a browser makes attributes of it is tested in tests/browser."""

import html
import json
import re

from kd_lab.viz.aria import EXPLORER_CLASS, labels
from kd_lab.viz.controls import Choice, Slider, Text


def test_each_control_hands_its_name_over_and_each_slider_its_scale():
    label = labels([Slider('τ "soft"', 0.25, 8.0, 0.25, start=1.0), Text("prefix"), Choice("case", ["a", "b"], "a")])
    found = {name: html.unescape(text) for name, text in re.findall(r'([\w-]+)="([^"]*)"', label.value)}
    assert json.loads(found["data-sliders"]) == [['τ "soft"', 0.25, 0.25]]
    assert json.loads(found["data-choices"]) == ["case"]
    assert f".{EXPLORER_CLASS}" in found["onload"]
    assert label.layout.display == "none"


def test_a_chosen_button_differs_by_more_than_its_shade():
    assert re.search(r"mod-active \{[^}]*bold", labels([]).value)
