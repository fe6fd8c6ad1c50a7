import pytest

from kd_lab.lessons.l06_gkd.figures import best_cells, budget_table, coverage, two_judges, worst_cases
from kd_lab.lessons.l06_gkd.foreign_losses import OURS, THEIRS
from kd_lab.lessons.l06_gkd.results import load_grid


@pytest.fixture(scope="module")
def grid():
    return load_grid()


def test_pictures_have_a_panel_per_judge_and_per_world(grid):
    assert len(two_judges(grid).axes) == 2
    values = {world: grid.final(world, "forward_kl") for world in grid.worlds}
    titles = [axes.get_title(loc="left") for axes in worst_cases(grid, values).axes]
    assert titles == ["surnames: worst case", "echo: worst case"]


def test_the_best_cell_is_named_for_each_world_and_judge(grid):
    parts = best_cells(grid).split("; ")
    assert [part.partition(": ")[0] for part in parts] == [
        "surnames, KL(P‖Q)", "surnames, KL(Q‖P)", "echo, KL(P‖Q)", "echo, KL(Q‖P)"
    ]  # fmt: skip
    assert parts[0].startswith("surnames, KL(P‖Q): forward KL")


def test_the_budget_is_a_table_with_a_row_per_world(grid):
    assert [line.split("|")[1].strip() for line in budget_table(grid).splitlines()[2:4]] == ["surnames", "echo"]


def test_echo_is_nearly_covered_by_its_texts_and_surnames_are_not():
    texts, different, held = coverage("echo")
    assert (texts, held > 0.9) == (300, True)
    assert different < texts
    assert coverage("surnames")[2] < 0.2


def test_foreign_losses_name_losses_that_exist():
    assert {expected for expected, _ in THEIRS.values()} - {None} <= OURS.keys()
