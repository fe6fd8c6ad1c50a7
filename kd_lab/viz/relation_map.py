"""How texts stand to one another in two models: two maps of distances, and every pair as a point."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

from kd_lab.viz.explorer import Choice, Explorer
from kd_lab.viz.style import INK, STUDENT, TEACHER

BRIGHTEST = 2.0  # mean distances, where the colour scale ends
FARTHEST = 3.5  # mean distances, where the axes of the points end; what lies beyond stands at the edge
BINS = 70


def draw_map(axes: Axes, relations: Float[np.ndarray, "B B"], texts: Sequence[str], title: str) -> AxesImage:
    """A map of distances between texts, dark where two are close.

    Args:
        axes: gets the texts along both sides.
        relations: distances in units of their mean.
        texts: one a row.
        title: of the axes.

    Raises:
        ValueError: not as many texts as rows.
    """
    if len(relations) != len(texts):
        raise ValueError(f"{len(texts)} texts came for {len(relations)} rows; expected one a row")
    image = axes.imshow(relations, vmin=0, vmax=BRIGHTEST)
    axes.set_xticks(range(len(texts)), texts, rotation=90, fontsize=8)
    axes.set_yticks(range(len(texts)), texts, fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(title)
    return image


def relation_explorer(
    teacher: Float[np.ndarray, "B B"],
    students: Mapping[str, Float[np.ndarray, "B B"]],
    texts: Sequence[str],
    start: str,
    name: str = "relations",
) -> Explorer:
    """An explorer of stored relations: the teacher's beside those of one student at a time.

    Left and middle: distances among the named texts. Right: all pairs of texts, the teacher's distance against the
    student's; a student that stands as the teacher does lies on the diagonal.

    Args:
        teacher: distances among B texts in units of their mean.
        students: a name a student, and its distances.
        texts: names of the first few of the B texts, those that the maps show.
        start: the student that is shown first.
        name: of the explorer.
    """
    shown, pairs = len(texts), np.triu_indices(len(teacher), 1)

    def create(figure):
        left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1, 1))
        draw_map(left, teacher[:shown, :shown], texts, TEACHER.label)
        image = draw_map(middle, np.zeros((shown, shown)), texts, STUDENT.label)
        middle.set_yticks([])
        figure.colorbar(image, ax=middle, ticks=[0, 1, 2], shrink=0.75, label="mean distances")
        (diagonal,) = right.plot([0, FARTHEST], [0, FARTHEST], color=INK, linewidth=0.8)
        cloud = right.imshow(
            np.zeros((BINS, BINS)), origin="lower", extent=(0, FARTHEST, 0, FARTHEST), cmap="Greys", vmin=0, vmax=1
        )
        right.set(xlabel="teacher", ylabel="student", title=f"{len(pairs[0]):,} pairs", xticks=[0, 1, 2, 3])
        right.set_yticks([0, 1, 2, 3])
        return {"map": image, "cloud": cloud, "diagonal": diagonal}  # the line moves only to stay above the cloud

    def update(artists, student: str) -> str:
        relations = students[student]
        artists["map"].set_data(relations[:shown, :shown])
        ours, theirs = relations[pairs], teacher[pairs]
        edges = np.linspace(0, FARTHEST, BINS + 1)
        counts, _, _ = np.histogram2d(np.clip(ours, 0, FARTHEST), np.clip(theirs, 0, FARTHEST), bins=(edges, edges))
        artists["cloud"].set_data((counts / max(counts.max(), 1)) ** 0.5)  # the root keeps rare pairs visible
        i, j = np.unravel_index(_nearest(teacher[:shown, :shown]), (shown, shown))
        return (
            f"{student}: over {len(ours):,} pairs of names its distances correlate with the teacher's at "
            f"{np.corrcoef(ours, theirs)[0, 1]:.2f}. The teacher's closest pair here, {texts[i]} and {texts[j]}, is "
            f"{teacher[i, j]:.2f} mean distances apart in the teacher and {relations[i, j]:.2f} in the student."
        )

    return Explorer(
        name=name,
        controls=[Choice("student", list(students), start=start)],
        create=create,
        update=update,
        presets={each: {"student": each} for each in students},
        size=(780, 300),
    )


def _nearest(distances: Float[np.ndarray, "B B"]) -> int:
    return int(np.argmin(distances + np.diag(np.full(len(distances), np.inf))))
