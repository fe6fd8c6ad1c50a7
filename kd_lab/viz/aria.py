"""Names and states that assistive technology asks for and ipywidgets does not give.

A slider's handle has no name and says the number of its step; which button of a row is chosen is a shade of grey. The
browser is told the rest by a style that, once it is on the page, keeps these attributes up to date. Where a page lets
no script of a widget run, nothing is lost but them: the number box beside each slider has a name of its own.
"""

import html
import json
from collections.abc import Sequence

import ipywidgets

from kd_lab.viz.controls import Choice, Control, Slider

EXPLORER_CLASS = "kd-lab-explorer"

STYLE = (
    f".{EXPLORER_CLASS} .widget-toggle-button.mod-active {{font-weight: bold; box-shadow: inset 0 -3px currentColor}}"
)

SCRIPT = """
const box = this.closest('.CLASS');
const sliders = JSON.parse(this.dataset.sliders), choices = JSON.parse(this.dataset.choices);
const say = (node, name, text) => node.getAttribute(name) === text || node.setAttribute(name, text);
const label = () => {
    box.querySelectorAll('.noUi-handle').forEach((handle, i) => {
        const [name, low, step] = sliders[i], position = Math.round(handle.getAttribute('aria-valuenow'));
        say(handle, 'aria-label', name);
        say(handle, 'aria-valuetext', String(Number((low + step * position).toFixed(10))));
    });
    box.querySelectorAll('.widget-toggle-buttons > div').forEach((group, i) => {
        say(group, 'role', 'group');
        say(group, 'aria-label', choices[i]);
        for (const button of group.querySelectorAll('button'))
            say(button, 'aria-pressed', String(button.classList.contains('mod-active')));
    });
};
const watched = ['class', 'aria-valuenow', 'aria-valuetext'];
new MutationObserver(label).observe(box, {subtree: true, childList: true, attributeFilter: watched});
label();
""".replace("CLASS", EXPLORER_CLASS)


def labels(controls: Sequence[Control]) -> ipywidgets.HTML:
    """An invisible part of an explorer's box, of the class `EXPLORER_CLASS`, that labels the controls in it."""
    sliders = [(one.name, one.low, one.step) for one in controls if isinstance(one, Slider)]
    choices = [one.name for one in controls if isinstance(one, Choice)]
    data = {"data-sliders": json.dumps(sliders), "data-choices": json.dumps(choices), "onload": SCRIPT}
    attributes = " ".join(f'{name}="{html.escape(text)}"' for name, text in data.items())
    return ipywidgets.HTML(f"<style {attributes}>{STYLE}</style>", layout=ipywidgets.Layout(display="none"))
