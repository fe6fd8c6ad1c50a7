"""Run in a lesson's kernel after its last cell: every explorer at every setting that its page offers."""

import re

from kd_lab.viz import EXPLORERS


def sweep() -> dict[str, int]:
    """Move every control over its extremes and through every preset, and want a picture and a sentence each time.

    Returns:
        Explorer -> settings tried.
    """
    tried = {}
    for name, explorer in list(EXPLORERS.items()):
        settings = [{}]
        settings += [{control.name: value} for control in explorer.controls for value in control.extremes]
        settings += list(explorer.presets.values())
        for setting in settings:
            frame = explorer.draw(setting)  # raises what the callback raises, which the page would show in its place
            assert frame.png.startswith(b"\x89PNG"), (name, setting)
            assert frame.sentence.strip(), (name, setting)
            assert not re.search(r"\b(nan|inf)\b", frame.sentence, re.IGNORECASE), (name, setting, frame.sentence)
            explorer.set(setting)  # as the page does it, through the widgets
            assert explorer.sentence == frame.sentence, (name, setting, "the page shows another sentence")
        explorer.reset()
        tried[name] = len(settings)
    return tried
