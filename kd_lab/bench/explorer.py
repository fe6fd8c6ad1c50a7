"""The time that one move of an explorer takes in Python: `python -m kd_lab.bench.explorer`.

The way from a key press to the new picture in a browser is measured by tests/browser/test_explorer_in_browser.py.
"""

from time import perf_counter

import numpy as np

from kd_lab.viz import DIVERGENCES, STUDENT, TEACHER, Explorer, Slider


def two_panels() -> Explorer:
    """A typical explorer: a teacher of two humps and a Gaussian on the left, the integrand of their KL on the right."""
    x = np.linspace(-8, 8, 400)

    def normal(mean: float, width: float) -> np.ndarray:
        return np.exp(-0.5 * ((x - mean) / width) ** 2) / (width * np.sqrt(2 * np.pi))

    def create(figure):
        left, right = figure.subplots(1, 2)
        left.set(xlim=(-8, 8), ylim=(0, 0.5), xlabel="x", ylabel="density", title="teacher and student")
        right.set(xlim=(-8, 8), ylim=(-0.3, 0.5), xlabel="x", ylabel="nats per unit of x", title="p ln p/q")
        (teacher,) = left.plot(x, 0 * x, **TEACHER.line, label=TEACHER.label)
        (student,) = left.plot(x, 0 * x, **STUDENT.line, label=STUDENT.label)
        left.legend(loc="upper right")
        look = DIVERGENCES["forward_kl"]
        (integrand,) = right.plot(x, 0 * x, **look.line)
        area = right.fill_between(x, 0 * x, facecolor=look.color, alpha=0.3)
        value = right.text(-7.5, 0.45, "", va="top")
        return {"teacher": teacher, "student": student, "integrand": integrand, "area": area, "value": value}

    def update(artists, separation):
        p = (normal(-separation, 1.0) + normal(separation, 1.0)) / 2
        q = normal(0.0, np.sqrt(1 + separation**2))  # the Gaussian with the teacher's mean and variance
        integrand = p * np.log(p / q)
        divergence = integrand.sum() * (x[1] - x[0])
        artists["teacher"].set_ydata(p)
        artists["student"].set_ydata(q)
        artists["integrand"].set_ydata(integrand)
        artists["area"].set_data(x, 0 * x, integrand)
        artists["value"].set_text(f"KL = {divergence:.3f} nats")
        return f"With the modes at ±{separation:.2f} the forward KL is {divergence:.3f} nats."

    return Explorer(
        name="two panels",
        controls=[Slider("separation", 0.0, 6.0, 0.25, start=1.0)],
        create=create,
        update=update,
        presets={"together": {"separation": 0.0}, "apart": {"separation": 4.0}},
    )


def milliseconds_per_move(moves: int = 20) -> tuple[float, float]:
    """Median milliseconds of a move that draws its own artists, and of one that draws the whole figure."""
    explorer = two_panels()
    settings = [{"separation": 0.25 * i} for i in range(1, moves + 1)]

    def median(before) -> float:
        seconds = []
        for setting in settings:
            before()
            begin = perf_counter()
            explorer.set(setting)
            seconds.append(perf_counter() - begin)
        return 1000 * float(np.median(seconds))

    moving, whole = median(lambda: None), median(lambda: explorer.figure.axes[0].set_title("new"))
    explorer.close()
    return moving, whole


if __name__ == "__main__":
    moving, whole = milliseconds_per_move()
    print(f"a move of the artists that create returns: {moving:5.1f} ms")
    print(f"a move that changes a title too:           {whole:5.1f} ms")
    print(f"ratio:                                     {whole / moving:5.1f}")
