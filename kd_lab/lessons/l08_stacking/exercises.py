"""Exercises of lesson 08: reference solutions, and the mistakes that their checks name."""

import numpy as np
import torch
from torch import tensor

from kd_lab.classroom.diagnosis import Case, Exercise, Mistake

# ---- 08.1: round to nearest, in groups ------------------------------------------------------------------------------


def round_in_groups(weight, bits, group):
    """Weights on a grid of 2^bits points per group: [O, I] -> [O, I]; `group` neighbours of a row share a grid."""
    groups = weight.unflatten(1, (-1, group))
    # Zero counts in, so that it lies on the grid: a pruned weight stays pruned.
    highest = groups.amax(-1, keepdim=True).clamp(min=0)
    lowest = groups.amin(-1, keepdim=True).clamp(max=0)
    # 2^bits points have one step less between them.
    scale = (highest - lowest) / (2**bits - 1)
    # A group of zeros has no range: any scale will do, except the 0 that it would be divided by.
    scale = scale.where(scale > 0, 1.0)
    zero = (-lowest / scale).round()
    codes = ((groups / scale).round() + zero).clamp(0, 2**bits - 1)
    return (scale * (codes - zero)).flatten(1)


def round_weight_by_weight(weight, bits, group):
    """Plain Python, a group after the other; a list of lists."""
    rows = []
    for row in weight.tolist():
        rounded = []
        for start in range(0, len(row), group):
            members = row[start : start + group]
            low, high = min([0, *members]), max([0, *members])
            step = (high - low) / (2**bits - 1) or 1
            shift = round(-low / step)
            rounded += [step * (min(max(round(one / step) + shift, 0), 2**bits - 1) - shift) for one in members]
        rows.append(rounded)
    return rows


def round_in_numpy(weight, bits, group):
    """Signed codes in numpy and double precision, which are clipped to the grid in place."""
    groups = np.asarray(weight.detach(), dtype=np.float64).reshape(-1, group)
    highest, lowest = np.maximum(groups.max(1), 0), np.minimum(groups.min(1), 0)
    step = ((highest - lowest) / (2**bits - 1))[:, None]
    step[step == 0] = 1
    first = np.rint(lowest[:, None] / step)
    codes = np.rint(groups / step)
    np.clip(codes, first, first + 2**bits - 1, out=codes)
    return (step * codes).reshape(weight.shape)


def _on_a_grid(
    groups, bits, *, steps=None, axis=-1, zero=None, rounding=torch.round, with_zero=True, shift=0, when_zero=1.0
):
    """Rounding with one thing done otherwise."""
    highest, lowest = groups.amax(axis, keepdim=True), groups.amin(axis, keepdim=True)
    if with_zero:
        highest, lowest = highest.clamp(min=0), lowest.clamp(max=0)
    scale = (highest - lowest) / (2**bits - 1 if steps is None else steps)
    scale = scale.where(scale > 0, when_zero)
    zero = (-lowest / scale).round() if zero is None else zero(-lowest / scale)
    codes = (rounding(groups / scale) + zero).clamp(0, 2**bits - 1)
    return scale * (codes - zero - shift)


def _of_a_range(scale):
    """1 for a group of zeros."""
    return scale.where(scale > 0, 1.0)


def _a_point_too_many(weight, bits, group):
    return _on_a_grid(weight.unflatten(1, (-1, group)), bits, steps=2**bits).flatten(1)


def _zero_point_off(weight, bits, group):
    return _on_a_grid(weight.unflatten(1, (-1, group)), bits, shift=1).flatten(1)


def _zero_point_off_upwards(weight, bits, group):
    return _on_a_grid(weight.unflatten(1, (-1, group)), bits, shift=-1).flatten(1)


def _zero_point_not_round(weight, bits, group):
    return _on_a_grid(weight.unflatten(1, (-1, group)), bits, zero=lambda ideal: ideal).flatten(1)


def _divided_by_zero(weight, bits, group):
    return _on_a_grid(weight.unflatten(1, (-1, group)), bits, when_zero=0.0).flatten(1)


def _zero_between_points(weight, bits, group):
    groups = weight.unflatten(1, (-1, group))
    highest, lowest = groups.amax(-1, keepdim=True), groups.amin(-1, keepdim=True)
    scale = _of_a_range((highest - lowest) / (2**bits - 1))
    return (((groups - lowest) / scale).round() * scale + lowest).flatten(1)


def _row_of_groups(weight, bits, group):
    return _on_a_grid(weight, bits)


def _a_grid_a_column(weight, bits, group):
    return _on_a_grid(weight, bits, axis=0)


def _far_apart(weight, bits, group):
    groups = weight.unflatten(1, (group, -1)).transpose(1, 2)
    return _on_a_grid(groups, bits).transpose(1, 2).flatten(1)


def _one_grid_for_all(weight, bits, group):
    return _on_a_grid(weight.flatten(), bits).view_as(weight)


def _around_zero(weight, bits, group):
    groups = weight.unflatten(1, (-1, group))
    most = 2 ** (bits - 1) - 1
    scale = _of_a_range(groups.abs().amax(-1, keepdim=True) / most)
    return (scale * (groups / scale).round().clamp(-most, most)).flatten(1)


def _cut_off(weight, bits, group):
    return _on_a_grid(weight.unflatten(1, (-1, group)), bits, rounding=torch.floor).flatten(1)


def _codes(weight, bits, group):
    groups = weight.unflatten(1, (-1, group))
    highest, lowest = groups.amax(-1, keepdim=True).clamp(min=0), groups.amin(-1, keepdim=True).clamp(max=0)
    scale = _of_a_range((highest - lowest) / (2**bits - 1))
    return ((groups / scale).round() + (-lowest / scale).round()).clamp(0, 2**bits - 1).flatten(1)


ROUND_IN_GROUPS = Exercise(
    reference=round_in_groups,
    unusual=(round_weight_by_weight, round_in_numpy),
    explanation=(
        "`unflatten` gives the groups of a row an axis of their own, so that `amax` and `amin` see one group at a "
        "time; `keepdim` lets scale and zero point spread over it again. The zero point is a whole number, which puts "
        "zero itself on the grid. A group of zeros has no range; with any scale but 0 it stays what it is."
    ),
    cases=(
        Case("one group from −2 to 7, 2 bits: points at −3, 0, 3, 6", lambda: (tensor([[-2.0, 1.4, 4.7, 7.0]]), 2, 4)),
        Case(
            "two groups in each of two rows, 2 bits",
            lambda: (tensor([[-1.0, 2.2, 10.0, -17.0], [0.1, -0.6, 3.3, 4.0]]), 2, 2),
        ),
        Case("a group that is positive throughout, 3 bits", lambda: (tensor([[2.0, 3.1, 3.9, 5.2]]), 3, 4)),
        Case("a group of zeros beside another, 2 bits", lambda: (tensor([[0.0, 0.0, -1.0, 2.2]]), 2, 2)),
    ),
    mistakes=(
        Mistake(
            "one point too many",
            "The step is too small: it divides the range by the number of points. Count the steps between them.",
            _a_point_too_many,
        ),
        Mistake(
            "zero point off by one",
            "Everything lies one step too low: the zero point with which the codes are read is not the one with which "
            "they were made. Is the first code 0 or 1?",
            _zero_point_off,
        ),
        Mistake(
            "zero point off by one, upwards",
            "Everything lies one step too high: the zero point with which the codes are read is not the one with which "
            "they were made. Is the first code 0 or 1?",
            _zero_point_off_upwards,
        ),
        Mistake(
            "zero point not a whole number",
            "The zero point is a fraction, and codes are whole numbers: it has to be rounded before it is stored.",
            _zero_point_not_round,
        ),
        Mistake(
            "divided by zero",
            "A group of zeros has a range of 0, and 0 / 0 is NaN. Such a group needs some other scale, and stays zero.",
            _divided_by_zero,
        ),
        Mistake(
            "zero between two points",
            "The grid starts at the smallest weight itself, so that zero falls between two of its points. A weight "
            "that is zero should stay zero.",
            _zero_between_points,
        ),
        Mistake(
            "zero left out of the range",
            "Where a group is positive throughout, its grid starts at its smallest weight and leaves zero out.",
            lambda weight, bits, group: _on_a_grid(weight.unflatten(1, (-1, group)), bits, with_zero=False).flatten(1),
        ),
        Mistake(
            "one grid per row",
            "A whole row shares a grid here. A row has several groups, and each of them its own range.",
            _row_of_groups,
        ),
        Mistake(
            "groups down the columns",
            "Those that share a grid lie in one column here. A row is an output and a column an input: neighbours in a "
            "*row* share a grid.",
            _a_grid_a_column,
        ),
        Mistake(
            "members far apart",
            "The right number of groups, and the wrong members: they lie far apart in the row. Neighbours share one.",
            _far_apart,
        ),
        Mistake(
            "one grid for all",
            "The whole matrix shares one grid: its largest weight sets the step of all groups.",
            _one_grid_for_all,
        ),
        Mistake(
            "symmetric",
            "This grid reaches equally far to both sides of zero. It is a good one, but here it should reach from the "
            "smallest to the largest weight.",
            _around_zero,
        ),
        Mistake(
            "cut off, not rounded",
            "Weights go to the next point *below*. All errors then have the same sign and add up.",
            _cut_off,
        ),
        Mistake(
            "codes returned",
            "These are the codes, whole numbers from 0 on. Asked for are the weights that they stand for.",
            _codes,
        ),
    ),
)

# ---- 08.2: a gradient for a staircase -------------------------------------------------------------------------------


def rounded_weight(weight, scale, most):
    """s·clip(round(w/s), −most, most), with gradient 1 to the weight inside the grid and 0 outside: [...] -> [...]."""
    inside = (weight / scale).clamp(-most, most)
    # What is detached is a number to autograd: the value is rounded, the slope is that of `inside`.
    return scale * (inside + (inside.round() - inside).detach())


class _Straight(torch.autograd.Function):
    """A staircase that claims to be a slope."""

    @staticmethod
    def forward(ctx, weight, scale, most):
        codes = torch.round(weight / scale)
        ctx.save_for_backward(weight.abs() <= most * scale)
        return codes.clamp_(-most, most) * scale

    @staticmethod
    def backward(ctx, upstream):
        (inside,) = ctx.saved_tensors
        return upstream * inside, None, None


def rounded_by_own_backward(weight, scale, most):
    """A function whose backward pass is written out."""
    return _Straight.apply(weight, scale, most)


def rounded_by_nothing_added(weight, scale, most):
    """The rounded number, and the weight less itself where it lies on the grid: 0, with slope 1."""
    codes = (weight.detach() / scale).round().clamp(-most, most)
    inside = weight.detach().abs() <= most * scale
    return scale * codes + torch.where(inside, weight - weight.detach(), 0.0)


def _value_and_gradient(function, weight, scale, most):
    """The value of the function, and the gradient of its sum weighted by 1, 2, 3, …"""
    weight = weight.requires_grad_()
    value = function(weight, scale, most)
    if not isinstance(value, torch.Tensor) or value.shape != weight.shape:
        return value
    upstream = torch.arange(1.0, value.numel() + 1).view_as(value)
    gradient = torch.zeros_like(weight)
    if value.requires_grad:
        (gradient,) = torch.autograd.grad((value * upstream).sum(), weight, allow_unused=True)
        gradient = torch.zeros_like(weight) if gradient is None else gradient
    return {"value": value.detach(), "gradient": gradient}


STRAIGHT_THROUGH = Exercise(
    reference=rounded_weight,
    unusual=(rounded_by_own_backward, rounded_by_nothing_added),
    run=_value_and_gradient,
    explanation=(
        "`inside + (inside.round() - inside)` is `inside.round()`, to the last bit or nearly so. With the bracket "
        "detached, autograd sees `inside` alone: slope 1 from `weight / scale` and back, and none where `clamp` has "
        "cut. A weight beyond the grid gets no gradient, since moving it changes nothing."
    ),
    cases=(
        Case("scale 1, grid −1 … 1", lambda: (tensor([0.3, -0.8, 1.7]), 1.0, 1)),
        Case("scale ½, grid −3 … 3", lambda: (tensor([[0.6, -1.1], [2.0, -0.1]]), 0.5, 3)),
    ),
    mistakes=(
        Mistake(
            "gradient through round",
            "The value is right, and its gradient is zero everywhere: a staircase is flat. No optimiser will move "
            "these weights.",
            lambda weight, scale, most: scale * (weight / scale).clamp(-most, most).round(),
        ),
        Mistake(
            "gradient outside the grid, too",
            "The gradient passes also where the weight lies beyond the grid. Moving such a weight a little changes "
            "nothing at all.",
            lambda weight, scale, most: (
                weight + (scale * (weight / scale).clamp(-most, most).round() - weight).detach()
            ),
        ),
        Mistake(
            "not rounded",
            "The gradient is right, but the value is not rounded: the model would train with weights that are never "
            "stored. Which part has to be detached?",
            lambda weight, scale, most: scale * (weight / scale).clamp(-most, most),
        ),
        Mistake(
            "not clipped",
            "Codes beyond the largest one have slipped through: with so few bits they do not exist.",
            lambda weight, scale, most: weight + (scale * (weight / scale).round() - weight).detach(),
        ),
        Mistake(
            "slope of a code",
            "The gradient is 1/scale, the slope of the *code*. What is returned is the code times the scale.",
            lambda weight, scale, most: (
                (weight / scale).clamp(-most, most)
                + (scale * (weight / scale).clamp(-most, most).round() - (weight / scale).clamp(-most, most)).detach()
            ),
        ),
        Mistake(
            "codes returned",
            "These are codes. The layer multiplies with weights: the code times the scale.",
            lambda weight, scale, most: rounded_weight(weight, scale, most) / scale,
        ),
    ),
)

# ---- 08.3: a head leaves ---------------------------------------------------------------------------------------------


def keep_heads(query_key_value, project, heads, keep):
    """An attention layer with the heads `keep` alone: [3·H·F, W], [W, H·F] -> [3·K·F, W], [W, K·F]."""
    # Queries, keys and values stand one above the other, and within each of them head above head.
    by_head = query_key_value.unflatten(0, (3, heads, -1))
    # What the heads have gathered stands side by side: the projection reads a head in neighbouring columns.
    columns = project.unflatten(1, (heads, -1))
    return by_head[:, keep].flatten(0, 2), columns[:, keep].flatten(1)


def keep_slices(query_key_value, project, heads, keep):
    """The wanted strips, cut out one by one and put together; a list."""
    size = project.shape[1] // heads
    strips = [part[head * size :][:size] for part in query_key_value.chunk(3) for head in keep]
    return [torch.cat(strips), torch.cat([project[:, head * size :][:, :size] for head in keep], dim=1)]


def keep_by_number(query_key_value, project, heads, keep):
    """The numbers of the rows that stay, by a question to each row."""
    size = project.shape[1] // heads
    columns = [column for head in keep for column in range(head * size, head * size + size)]
    rows = [column + part * heads * size for part in range(3) for column in columns]
    return query_key_value.index_select(0, tensor(rows)), project.index_select(1, tensor(columns))


def _columns(project, heads, keep):
    return project.unflatten(1, (heads, -1))[:, keep].flatten(1)


def _rows_of_projection(query_key_value, project, heads, keep):
    smaller, _ = keep_heads(query_key_value, project, heads, keep)
    return smaller, project.unflatten(0, (heads, -1))[keep].flatten(0, 1)


def _queries_only(query_key_value, project, heads, keep):
    query, key, value = query_key_value.chunk(3)
    return torch.cat([query.unflatten(0, (heads, -1))[keep].flatten(0, 1), key, value]), _columns(project, heads, keep)


def _value_forgotten(query_key_value, project, heads, keep):
    query, key, value = query_key_value.chunk(3)
    cut = [part.unflatten(0, (heads, -1))[keep].flatten(0, 1) for part in (query, key)]
    return torch.cat([*cut, value]), _columns(project, heads, keep)


def _grouped_by_head(query_key_value, project, heads, keep):
    by_head = query_key_value.unflatten(0, (heads, 3, -1))
    return by_head[keep].flatten(0, 2), _columns(project, heads, keep)


def _interleaved(query_key_value, project, heads, keep):
    by_feature = query_key_value.unflatten(0, (3, -1, heads))
    return by_feature[:, :, keep].flatten(0, 2), project.unflatten(1, (-1, heads))[:, :, keep].flatten(1)


def _others(keep, heads):
    return [head for head in range(heads) if head not in keep]


def _zeroed(query_key_value, project, heads, keep):
    gone = _others(keep, heads)
    by_head = query_key_value.unflatten(0, (3, heads, -1)).clone()
    columns = project.unflatten(1, (heads, -1)).clone()
    by_head[:, gone] = 0
    columns[:, gone] = 0
    return by_head.flatten(0, 2), columns.flatten(1)


def _attention(heads, features, width):
    """Matrices whose every entry tells where it stands."""
    rows, columns = 3 * heads * features, heads * features
    query_key_value = torch.arange(rows)[:, None] * 10.0 + torch.arange(width)
    return query_key_value, torch.arange(width)[:, None] * 100.0 + torch.arange(columns)


KEEP_HEADS = Exercise(
    reference=keep_heads,
    unusual=(keep_slices, keep_by_number),
    entries=("Q, K and V", "the projection"),
    explanation=(
        "A head owns F rows in each of Q, K and V, and F *columns* of the projection: those that multiply what it has "
        "gathered. `unflatten` gives the heads an axis of their own, indexing keeps the wanted ones, `flatten` joins "
        "what is left. Nothing is zeroed: the matrices are smaller, so that every later product is."
    ),
    cases=(
        Case("two heads of one feature, width 2; head 1 stays", lambda: (*_attention(2, 1, 2), 2, [1])),
        Case("two heads of two features, width 4; head 0 stays", lambda: (*_attention(2, 2, 4), 2, [0])),
        Case("three heads of two features, width 6; heads 0 and 2 stay", lambda: (*_attention(3, 2, 6), 3, [0, 2])),
    ),
    mistakes=(
        Mistake(
            "projection left whole",
            "The heads are gone from Q, K and V, but the output projection still waits for what they gathered: its "
            "product no longer fits.",
            lambda qkv, project, heads, keep: (keep_heads(qkv, project, heads, keep)[0], project),
        ),
        Mistake(
            "rows of the projection",
            "The projection has lost rows: these are features of the stream, which all heads write to. Where does a "
            "head enter the product?",
            _rows_of_projection,
        ),
        Mistake(
            "keys and values forgotten",
            "Only the queries were cut. A head that is gone needs neither keys nor values, and they stand below in the "
            "same matrix.",
            _queries_only,
        ),
        Mistake(
            "values forgotten",
            "Queries and keys were cut, and the values were not: every head, even one that is gone, would still be "
            "gathered from.",
            _value_forgotten,
        ),
        Mistake(
            "projection alone",
            "Only the projection was cut: the heads are still computed, and then do not fit.",
            lambda qkv, project, heads, keep: (qkv, _columns(project, heads, keep)),
        ),
        Mistake(
            "wrong order of axes",
            "The matrix was read as head by head, each with its Q, K and V. Here all queries come first, then all "
            "keys, then all values, and the heads within each.",
            _grouped_by_head,
        ),
        Mistake(
            "features and heads exchanged",
            "The features of a head were taken to lie apart, one from each stretch of all heads. They are neighbours.",
            _interleaved,
        ),
        Mistake(
            "the others kept",
            "These are the heads that should go: `keep` names those that stay.",
            lambda qkv, project, heads, keep: keep_heads(qkv, project, heads, _others(keep, heads)),
        ),
        Mistake(
            "zeroed, not removed",
            "The heads were set to zero and are still there: as many numbers to store and to multiply as before.",
            _zeroed,
        ),
    ),
)

EXERCISES = {"08.1": ROUND_IN_GROUPS, "08.2": STRAIGHT_THROUGH, "08.3": KEEP_HEADS}
