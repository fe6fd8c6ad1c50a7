"""Wrong answers to the exercises of lesson 08, written as a learner would write them."""

import torch

from kd_lab.classroom.check import diagnose, find_exercise

# ---- 08.1

# ---- 08.2

# ---- 08.3


def rows_of(head, features):
    return list(range(head * features, (head + 1) * features))


def test_keep_heads_names_the_projection_that_was_left_whole(assert_rejects):
    def forgets_project(query_key_value, project, heads, keep):
        features = project.shape[1] // heads
        rows = [
            third * heads * features + row for third in range(3) for head in keep for row in rows_of(head, features)
        ]
        return query_key_value[rows], project

    assert_rejects("08.3", forgets_project, "output projection")


def test_keep_heads_names_rows_for_columns(assert_rejects):
    def cuts_rows(query_key_value, project, heads, keep):
        features = project.shape[1] // heads
        size = heads * features
        kept = [row for head in keep for row in rows_of(head, features)]
        return torch.cat(
            [query_key_value[kept], query_key_value[size:][kept], query_key_value[2 * size :][kept]]
        ), project[kept]

    assert_rejects("08.3", cuts_rows, "lost rows")


def test_keep_heads_names_the_forgotten_keys(assert_rejects):
    def queries(query_key_value, project, heads, keep):
        features = project.shape[1] // heads
        kept = [row for head in keep for row in rows_of(head, features)]
        return torch.cat([query_key_value[kept], query_key_value[heads * features :]]), project[:, kept]

    assert_rejects("08.3", queries, "Only the queries")


def test_keep_heads_names_the_removed_ones_kept(assert_rejects):
    def inverted(query_key_value, project, heads, keep):
        features = project.shape[1] // heads
        stay = torch.ones(heads, dtype=torch.bool)
        stay[keep] = False
        columns = stay.repeat_interleave(features)
        return query_key_value[columns.repeat(3)], project[:, columns]

    assert_rejects("08.3", inverted, "should go")


def test_keep_heads_names_zeros(assert_rejects):
    def zeros(query_key_value, project, heads, keep):
        stay = torch.zeros(heads)
        stay[keep] = 1
        columns = stay.repeat_interleave(project.shape[1] // heads)
        return query_key_value * columns.repeat(3)[:, None], project * columns

    assert_rejects("08.3", zeros, "set to zero")


def test_keep_heads_takes_a_boolean_mask():
    def masked(query_key_value, project, heads, keep):
        stay = torch.zeros(heads, dtype=torch.bool)
        stay[keep] = True
        columns = stay.repeat_interleave(project.shape[1] // heads)
        return query_key_value[columns.repeat(3)], project[:, columns]

    assert diagnose(find_exercise("08.3"), masked) is None
