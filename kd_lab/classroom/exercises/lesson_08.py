"""Exercises of lesson 08: reference solutions, and the mistakes that their checks name."""

import torch

from kd_lab.classroom.check import Case, Exercise, Mistake

# ---- 08.1: round to nearest, in groups ------------------------------------------------------------------------------

# ---- 08.2: a gradient for a staircase -------------------------------------------------------------------------------

# ---- 08.3: a head leaves ---------------------------------------------------------------------------------------------


def keep_heads(query_key_value, project, heads, keep):
    """An attention layer with the heads `keep` alone: [3·H·F, W], [W, H·F] -> [3·K·F, W], [W, K·F]."""
    # Queries, keys and values stand one above the other, and within each of them head above head.
    by_head = query_key_value.unflatten(0, (3, heads, -1))
    # What the heads have gathered stands side by side: the projection reads a head in neighbouring columns.
    columns = project.unflatten(1, (heads, -1))
    return by_head[:, keep].flatten(0, 2), columns[:, keep].flatten(1)


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

EXERCISES = {"08.3": KEEP_HEADS}
