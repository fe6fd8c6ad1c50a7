import ipywidgets
import pytest

from kd_lab.viz.controls import Choice, Slider, Text


def parts(slider):
    box, row = slider.widgets()
    return box, row.children[1]


def test_the_box_carries_the_name_and_the_slider_follows():
    box, slider = parts(Slider("temperature τ", 0.25, 8.0, 0.25, start=1.0))
    assert isinstance(box, ipywidgets.BoundedFloatText)
    assert box.description == "temperature τ"
    box.value = 4.0
    assert slider.value == 15
    slider.value = 31
    assert box.value == 8.0


def test_a_typed_number_between_two_steps_stays_as_it_was_typed():
    box, slider = parts(Slider("τ", 0.0, 1.0, 0.1, start=0.5))
    box.value = 0.33
    assert slider.value == 3
    assert box.value == 0.33


def test_steps_carry_no_binary_dust():
    box, slider = parts(Slider("β", 0.0, 1.0, 0.1, start=0.5))
    seen = []
    for position in range(11):
        slider.value = position
        seen.append(box.value)
    assert seen == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


def test_whole_numbers_stay_whole():
    box, slider = parts(Slider("width", 1, 8, 1, start=2))
    slider.value = 6
    assert isinstance(box, ipywidgets.BoundedIntText)
    assert box.value == 7
    assert isinstance(box.value, int)
    with pytest.raises(ValueError, match="expected a whole number in 1 … 8"):
        Slider("width", 1, 8, 1, start=2).check(2.5)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ((0.0, 1.0, 0.1, 2.0), "expected low ≤ start ≤ high"),
        ((1.0, 1.0, 0.1, 1.0), "low < high"),
        ((0.0, 1.0, 0.0, 0.0), "step > 0"),
        ((0.0, 1.0, 0.3, 0.0), "never meets its high"),
    ],
)
def test_impossible_sliders_are_refused(bounds, message):
    with pytest.raises(ValueError, match=message):
        Slider("β", *bounds)


def test_choices_may_be_of_any_kind_and_know_their_options():
    choice = Choice("student", [16, 32], start=32)
    buttons, shown = choice.widgets()
    assert [child.value for child in shown.children] == ["student", 32]
    assert buttons.value == 32
    assert choice.extremes == (16, 32)
    with pytest.raises(ValueError, match=r"expected one of \[16, 32\]"):
        choice.check(64)
    with pytest.raises(ValueError, match="expected one of"):
        Choice("student", [16, 32], start=64)


def test_text_follows_letter_by_letter():
    field, _ = Text("prefix", start="ma").widgets()
    assert field.continuous_update
    assert field.description == "prefix"
    with pytest.raises(ValueError, match="expected a text in quotes"):
        Text("prefix").check(3)
