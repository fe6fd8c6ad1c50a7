"""Wrong answers to the exercises of lesson 08, as a learner would write them, and right ones that are unusual."""

import torch

from kd_lab.classroom.diagnosis import diagnose, find_exercise

# ---- 08.1


def nearest(row, bits, top=None, offset=0, take=round):
    """One group of plain numbers, weight after weight."""
    low, high = min(0.0, min(row)), max(0.0, max(row))
    scale = (high - low) / (2**bits - 1 if top is None else top) or 1.0
    zero = round(-low / scale)
    return [scale * (max(0, min(2**bits - 1, take(w / scale) + zero)) - zero + offset) for w in row]


def group_by_group(weight, group, each):
    rows = [
        [w for start in range(0, len(row), group) for w in each(row[start : start + group])] for row in weight.tolist()
    ]
    return torch.tensor(rows)


def test_a_plain_loop_over_groups_is_right():
    exercise = find_exercise("08.1")
    assert (
        diagnose(exercise, lambda weight, bits, group: group_by_group(weight, group, lambda r: nearest(r, bits)))
        is None
    )


def test_rounding_takes_the_nearest_of_all_points():
    def by_distance(weight, bits, group):
        rows = weight.reshape(-1, group)
        low, high = rows.amin(1).clamp(max=0), rows.amax(1).clamp(min=0)
        step = ((high - low) / (2**bits - 1)).clamp(min=1e-30)
        points = step[:, None] * (torch.arange(2**bits) - (-low / step).round()[:, None])
        chosen = (rows[:, :, None] - points[:, None, :]).abs().argmin(-1)
        return points.gather(1, chosen).view_as(weight)

    assert diagnose(find_exercise("08.1"), by_distance) is None


def test_rounding_takes_torchs_fake_quantization():
    def fake(weight, bits, group):
        rows = weight.reshape(-1, group)
        low, high = torch.clamp(rows.min(1).values, max=0), torch.clamp(rows.max(1).values, min=0)
        step = (high - low) / (2**bits - 1)
        step[step == 0] = 1
        zero = (-low / step).round().int()
        return torch.fake_quantize_per_channel_affine(rows, step, zero, 0, 0, 2**bits - 1).reshape(weight.shape)

    assert diagnose(find_exercise("08.1"), fake) is None


def test_rounding_names_the_range_of_zero(assert_rejects):
    def unguarded(weight, bits, group):
        rows = weight.reshape(-1, group)
        low, high = rows.amin(1, True).clamp(max=0), rows.amax(1, True).clamp(min=0)
        step = (high - low) / (2**bits - 1)
        zero = (-low / step).round()
        return (step * (((rows / step).round() + zero).clamp(0, 2**bits - 1) - zero)).view_as(weight)

    assert_rejects("08.1", unguarded, "0 / 0 is NaN")


def test_the_reference_keeps_a_group_of_zeros():
    weight = torch.tensor([[0.0, 0.0, 3.0, -1.0], [0.0, 0.0, 0.0, 0.0]])
    kept = find_exercise("08.1").reference(weight, 2, 2)
    assert kept.isfinite().all()
    assert (kept[weight == 0] == 0).all()


def test_rounding_names_the_point_too_many(assert_rejects):
    def too_fine(weight, bits, group):
        return group_by_group(weight, group, lambda row: nearest(row, bits, top=2**bits))

    assert_rejects("08.1", too_fine, "Count the steps")


def test_rounding_names_the_zero_point_that_is_off_by_one(assert_rejects):
    def shifted(weight, bits, group):
        return group_by_group(weight, group, lambda row: nearest(row, bits, offset=-1))

    assert_rejects("08.1", shifted, "one step too low")
    assert_rejects(
        "08.1",
        lambda weight, bits, group: group_by_group(weight, group, lambda row: nearest(row, bits, offset=1)),
        "one step too high",
    )


def test_rounding_names_the_scale_of_a_whole_row(assert_rejects):
    def by_row(weight, bits, group):
        return group_by_group(weight, weight.shape[1], lambda row: nearest(row, bits))

    assert_rejects("08.1", by_row, "whole row shares a grid")


def test_rounding_names_the_scale_of_a_column(assert_rejects):
    def by_column(weight, bits, group):
        return group_by_group(weight.T, weight.shape[0], lambda row: nearest(row, bits)).T

    assert_rejects("08.1", by_column, "lie in one column")


def test_rounding_names_the_grid_around_zero(assert_rejects):
    def symmetric(weight, bits, group):
        def each(row):
            top = 2 ** (bits - 1) - 1
            scale = max(map(abs, row)) / top or 1.0
            return [scale * round(w / scale) for w in row]

        return group_by_group(weight, group, each)

    assert_rejects("08.1", symmetric, "equally far to both sides")


def test_rounding_names_the_point_below(assert_rejects):
    def floor(weight, bits, group):
        return group_by_group(weight, group, lambda row: nearest(row, bits, take=lambda x: int(x // 1)))

    assert_rejects("08.1", floor, "next point *below*")


# ---- 08.2


def test_rounded_weight_names_the_gradient_of_a_staircase(assert_rejects):
    def honest(weight, scale, most):
        return torch.clamp(torch.round(weight / scale), -most, most) * scale

    assert_rejects("08.2", honest, "a staircase is flat")


def test_rounded_weight_names_a_result_cut_from_the_graph(assert_rejects):
    def detached(weight, scale, most):
        return scale * (weight.detach() / scale).round().clamp(-most, most)

    assert_rejects("08.2", detached, "a staircase is flat")


def test_rounded_weight_names_the_gradient_beyond_the_grid(assert_rejects):
    def everywhere(weight, scale, most):
        code = weight / scale
        code = code + (code.round().clamp(-most, most) - code).detach()
        return scale * code

    assert_rejects("08.2", everywhere, "beyond the grid")


def test_rounded_weight_names_the_value_that_is_not_rounded(assert_rejects):
    def wrong_part(weight, scale, most):
        code = torch.clamp(weight / scale, -most, most)
        return scale * (code.round() + (code - code.round()))

    assert_rejects("08.2", wrong_part, "not rounded")


def test_rounded_weight_names_codes_beyond_the_largest(assert_rejects):
    def unclipped(weight, scale, most):
        code = weight / scale
        return scale * (code + (code.round() - code).detach())

    assert_rejects("08.2", unclipped, "slipped through")


def test_rounded_weight_takes_a_gradient_written_by_hand():
    class Round(torch.autograd.Function):
        @staticmethod
        def forward(context, weight, scale, most):
            context.inside = (weight / scale).abs() <= most
            return scale * torch.clamp(torch.round(weight / scale), -most, most)

        @staticmethod
        def backward(context, upstream):
            return upstream * context.inside, None, None

    assert diagnose(find_exercise("08.2"), Round.apply) is None


def test_rounded_weight_takes_a_weight_that_is_detached_where_it_is_clipped():
    def chosen(weight, scale, most):
        moving = torch.where(weight.abs() <= scale * most, weight, weight.detach())
        with torch.no_grad():
            shift = scale * torch.clamp((weight / scale).round(), -most, most) - weight
        return moving + shift

    assert diagnose(find_exercise("08.2"), chosen) is None


def test_rounded_weight_takes_an_autograd_function():
    class Round(torch.autograd.Function):
        @staticmethod
        def forward(context, code):
            return code.round()

        @staticmethod
        def backward(context, upstream):
            return upstream

    assert (
        diagnose(
            find_exercise("08.2"),
            lambda weight, scale, most: scale * Round.apply(torch.clamp(weight / scale, -most, most)),
        )
        is None
    )


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


def test_keep_heads_takes_slices_joined_one_by_one():
    def sliced(query_key_value, project, heads, keep):
        features = len(query_key_value) // 3 // heads
        parts = [
            query_key_value.narrow(0, (third * heads + head) * features, features)
            for third in range(3)
            for head in keep
        ]
        columns = [project.narrow(1, head * features, features) for head in keep]
        return torch.cat(parts), torch.cat(columns, dim=1)

    assert diagnose(find_exercise("08.3"), sliced) is None


def test_keep_heads_takes_two_products_with_a_selection():
    def selected(query_key_value, project, heads, keep):
        features = project.shape[1] // heads
        chosen = torch.kron(torch.eye(heads)[keep], torch.eye(features))
        return torch.block_diag(chosen, chosen, chosen) @ query_key_value, project @ chosen.T

    assert diagnose(find_exercise("08.3"), selected) is None


def test_keep_heads_takes_a_boolean_mask():
    def masked(query_key_value, project, heads, keep):
        stay = torch.zeros(heads, dtype=torch.bool)
        stay[keep] = True
        columns = stay.repeat_interleave(project.shape[1] // heads)
        return query_key_value[columns.repeat(3)], project[:, columns]

    assert diagnose(find_exercise("08.3"), masked) is None
