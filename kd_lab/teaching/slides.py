"""Slides of a lesson: the hook, the hand examples, the filmstrips and the claims with their values."""

import html
import re
from collections.abc import Iterable, Sequence

from kd_lab.classroom.claim import Claim
from kd_lab.teaching.material import Film, Material, Picture
from kd_lab.teaching.notes import Notes
from kd_lab.teaching.pages import SITE, bullets, document, line, markdown, shortened

PAGE = "@page { size: 1280px 720px; margin: 0; }"
LONG, LONGEST = 850, 1350
"""Letters of a slide from which on its type is smaller."""
CLAIMS = 4  # per slide
FRAMES = 2  # pictures per slide
CAPTION = 220  # letters beside a picture from which on they are smaller
HOOK_CAPTION = 440  # letters under the first picture from which on that is smaller


def slide(title: str, body: str, kind: str = "") -> str:
    heading = f"<h2>{line(title)}</h2>" if title else ""
    return f'<section class="slide {kind}">{heading}{body}</section>'


def text_slide(title: str, body: str) -> str:
    """A slide of text, in a type that its length allows."""
    letters = len(re.sub(r"<[^>]+>", "", body)) + 60 * body.count("<tr>") + 120 * body.count("\\[")
    return slide(title, body, "longest" if letters > LONGEST else "long" if letters > LONG else "")


def image(picture: Picture) -> str:
    return f'<img src="{picture.source}" alt="{html.escape(picture.alt)}">'


def film_slides(film: Film) -> Iterable[str]:
    """The pictures of one filmstrip, two per slide, so that the last row reads their letters."""
    for first in range(0, len(film.pictures), FRAMES):
        some = film.pictures[first : first + FRAMES]
        kind = "long" if max(len(one.caption) for one in some) > CAPTION else ""
        figures = "".join(f"<figure>{image(one)}<figcaption>{line(one.caption)}</figcaption></figure>" for one in some)
        yield slide(f"{film.explorer[:1].upper()}{film.explorer[1:]}", f'<div class="film">{figures}</div>', kind)


def claim_slides(claims: Sequence[Claim]) -> Iterable[str]:
    for first in range(0, len(claims), CLAIMS):
        shown = "".join(
            f'<div class="claim"><p>{html.escape(one.sentence)}</p>'
            f'<p class="value">{one.id}: {html.escape(one.measured())}: <strong>{one.verdict}</strong></p></div>'
            for one in claims[first : first + CLAIMS]
        )
        yield slide("What was measured", shown)


def slides(notes: Notes, material: Material) -> str:
    """The slides of a lesson as a whole HTML file in a folder of the pack."""
    shown = [slide("", f"<h1>{html.escape(notes.title)}</h1><p>{line(material.promise)}</p>")]
    shown.append(text_slide("You will be able to", bullets(line(shortened(goal)) for goal in notes.goals)))
    if material.hook:
        kind = "picture long" if len(material.hook.caption) > HOOK_CAPTION else "picture"
        shown.append(slide("", f"{image(material.hook)}{markdown(material.hook.caption)}", kind))
    shown += [text_slide("By hand", markdown(without_mark(text))) for text in material.by_hand]
    for film in material.films:
        shown += film_slides(film)
    shown += claim_slides(material.claims)
    shown += [text_slide("Discuss", f"<p>{line(question)}</p>") for question in material.questions]
    shown.append(text_slide("Recap", markdown(material.recap)))
    numbered = (
        one.replace("</section>", f'<span class="number">{i} / {len(shown)}</span></section>')
        for i, one in enumerate(shown, 1)
    )
    script = (SITE / "slides.js").read_text(encoding="utf-8")
    return document(notes.title, "".join(numbered), "../", PAGE, "slides", script)


def without_mark(text: str) -> str:
    """A hand example without the words that its slide bears as a title.

    >>> without_mark("**By hand, with three tokens.** Let")
    'With three tokens. Let'
    >>> without_mark("By hand, blocks of two: $y$")
    'Blocks of two: $y$'
    """
    rest = re.sub(r"^\*\*By hand([^*]*)\*\*", r"By hand\1", text)
    rest = re.sub(r"^By hand[.,]?\s*", "", rest)
    return rest[:1].upper() + rest[1:]
