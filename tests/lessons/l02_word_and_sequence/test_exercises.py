"""The checks of lesson 02 know a right answer from plausible wrong ones, and name what is wrong."""

import torch

END = 0


# ---- 02.1 --------------------------------------------------------------------------------------------------------


def test_word_level_loss_names_the_reversed_direction(assert_rejects):
    def swapped_arguments(student_logits, teacher_logits, mask):
        q, p = student_logits.softmax(-1), teacher_logits.softmax(-1)
        return (q * (q / p).log()).sum(-1)[mask].mean()

    assert_rejects("02.1", swapped_arguments, "KL(q‖p)")


def test_word_level_loss_names_the_mean_over_the_vocabulary(assert_rejects):
    def mean_everywhere(student_logits, teacher_logits, mask):
        student_logp, teacher_logp = student_logits.log_softmax(-1), teacher_logits.log_softmax(-1)
        terms = torch.nn.functional.kl_div(student_logp, teacher_logp, log_target=True, reduction="none")
        return terms[mask].mean()

    assert_rejects("02.1", mean_everywhere, "averaged over the vocabulary")


def test_word_level_loss_names_batchmean(assert_rejects):
    def batchmean(student_logits, teacher_logits, mask):
        student_logp = student_logits.log_softmax(-1).masked_fill(~mask[..., None], 0.0)
        teacher_logp = teacher_logits.log_softmax(-1).masked_fill(~mask[..., None], 0.0)
        return torch.nn.functional.kl_div(student_logp, teacher_logp, log_target=True, reduction="batchmean")

    assert_rejects("02.1", batchmean, "batchmean")


def test_word_level_loss_names_the_sum(assert_rejects):
    def added(student_logits, teacher_logits, mask):
        p, q = teacher_logits.softmax(-1), student_logits.softmax(-1)
        return (p * (p / q).log()).sum(-1)[mask].sum()

    assert_rejects("02.1", added, "added and not averaged")


def test_word_level_loss_names_the_ignored_mask(assert_rejects):
    def every_position(student_logits, teacher_logits, mask):
        student_logp, teacher_logp = student_logits.log_softmax(-1), teacher_logits.log_softmax(-1)
        return (teacher_logp.exp() * (teacher_logp - student_logp)).sum(-1).mean()

    assert_rejects("02.1", every_position, "Padding is averaged in")


def test_word_level_loss_names_the_mask_that_is_only_in_the_sum(assert_rejects):
    def product_then_mean(student_logits, teacher_logits, mask):
        student_logp, teacher_logp = student_logits.log_softmax(-1), teacher_logits.log_softmax(-1)
        return ((teacher_logp.exp() * (teacher_logp - student_logp)).sum(-1) * mask).mean()

    assert_rejects("02.1", product_then_mean, "B·T")


def test_word_level_loss_names_the_cross_entropy(assert_rejects):
    def soft_labels(student_logits, teacher_logits, mask):
        targets = teacher_logits.softmax(-1)[mask]
        return torch.nn.functional.cross_entropy(student_logits[mask], targets)

    assert_rejects("02.1", soft_labels, "cross-entropy")


def test_word_level_loss_names_the_mean_of_means(assert_rejects):
    def text_by_text(student_logits, teacher_logits, mask):
        means = []
        for q, p, counts in zip(student_logits.log_softmax(-1), teacher_logits.log_softmax(-1), mask, strict=True):
            means.append((p.exp() * (p - q)).sum(-1)[counts].mean())
        return torch.stack(means).mean()

    assert_rejects("02.1", text_by_text, "short text")


# ---- 02.2 --------------------------------------------------------------------------------------------------------


def surprise(logits, targets):
    return torch.nn.functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none")


def test_sequence_nll_names_the_dropped_end_mark(assert_rejects):
    def ignore_index(logits, tokens):
        return torch.nn.functional.cross_entropy(
            logits.transpose(1, 2), tokens[:, 1:], ignore_index=END, reduction="none"
        ).sum(1)

    assert_rejects("02.2", ignore_index, "never learns where to stop")


def test_sequence_nll_names_counted_padding(assert_rejects):
    def no_mask(logits, tokens):
        return surprise(logits, tokens[:, 1:]).sum(1)

    assert_rejects("02.2", no_mask, "wider batch")


def test_sequence_nll_names_the_second_shift(assert_rejects):
    def shift_logits_too(logits, tokens):
        loss = surprise(logits[:, :-1], tokens[:, 2:])
        after_end = torch.cumsum(tokens[:, 2:] == END, 1) > 1
        for row, text in enumerate(tokens[:, 2:]):  # up to and including the first end mark
            stop = int((text == END).nonzero()[0]) + 1
            after_end[row] = torch.arange(len(text)) >= stop
        return loss.masked_fill(after_end, 0).sum(1)

    assert_rejects("02.2", shift_logits_too, "shifted against each other twice")


def test_sequence_nll_names_the_missing_shift(assert_rejects):
    def same_position(logits, tokens):
        losses = []
        for row, text in zip(logits.log_softmax(-1), tokens, strict=True):
            length = int((text[1:] == END).nonzero()[0]) + 1
            losses.append(-sum(row[t, text[t]] for t in range(length)))
        return torch.stack(losses)

    assert_rejects("02.2", same_position, "just read")


def test_sequence_nll_names_the_first_letter_that_costs_nothing(assert_rejects):
    def while_no_end_was_read(logits, tokens):
        going = tokens[:, :-1] != END
        return (surprise(logits, tokens[:, 1:]) * going).sum(1)

    assert_rejects("02.2", while_no_end_was_read, "first token of each text is left out")


def test_sequence_nll_names_the_mean_of_a_text(assert_rejects):
    def length_normalised(logits, tokens):
        losses = []
        for row, text in zip(surprise(logits, tokens[:, 1:]), tokens[:, 1:], strict=True):
            losses.append(row[: int((text == END).nonzero()[0]) + 1].mean())
        return torch.stack(losses)

    assert_rejects("02.2", length_normalised, "mean over the text's tokens")


# ---- 02.3 --------------------------------------------------------------------------------------------------------


def test_extend_names_the_greedy_searches_side_by_side(assert_rejects):
    def one_each(scores, logp, width):
        tokens = logp.argmax(-1)
        total = scores + logp.gather(1, tokens[:, None])[:, 0]
        order = total.argsort(descending=True)
        return total[order], order, tokens[order]

    assert_rejects("02.3", one_each, "greedy searches side by side")


def test_extend_names_the_forgotten_score(assert_rejects):
    def last_token_only(scores, logp, width):
        best, place = logp.flatten().topk(width)
        return best, place // logp.shape[1], place % logp.shape[1]

    assert_rejects("02.3", last_token_only, "last token alone")


def test_extend_names_the_wrong_divisor(assert_rejects):
    def by_beam(scores, logp, width):
        best, place = (scores.unsqueeze(1) + logp).view(-1).topk(width)
        return best, torch.div(place, len(scores), rounding_mode="floor"), torch.remainder(place, len(scores))

    assert_rejects("02.3", by_beam, "one row of V children")


def test_extend_names_a_beam_that_never_grows(assert_rejects):
    """With as many hypotheses as the width in every case, an answer that ignores the width would be right."""

    def width_ignored(scores, logp, width):
        best, place = (scores[:, None] + logp).flatten().topk(scores.shape[0])
        return best, place // logp.shape[1], place % logp.shape[1]

    assert_rejects("02.3", width_ignored, "As many children are kept")


def test_extend_says_which_of_its_three_answers_differ(assert_rejects):
    def probabilities(scores, logp, width):
        best, place = (scores[:, None] + logp).flatten().topk(width)
        return best.exp(), place // logp.shape[1], place % logp.shape[1]

    assert_rejects("02.3", probabilities, "`scores` differs; `parents` and `tokens` are right")


def test_extend_names_added_probabilities(assert_rejects):
    def add(scores, logp, width):
        best, place = (scores.exp().unsqueeze(1) + logp.exp()).view(-1).topk(width)
        return best.log(), place // logp.shape[1], place % logp.shape[1]

    assert_rejects("02.3", add, "multiply")


# ---- 02.4 --------------------------------------------------------------------------------------------------------


def truncated(student_logits, kept_ids, kept_logp):
    student_logp = student_logits - student_logits.logsumexp(-1, keepdim=True)
    return torch.sum(kept_logp.exp() * (kept_logp - torch.gather(student_logp, -1, kept_ids)), -1)


def test_bucket_loss_names_the_cross_entropy(assert_rejects):
    def cross_entropy(student_logits, kept_ids, kept_logp):
        q = student_logits.softmax(-1).gather(-1, kept_ids)
        p = kept_logp.exp()
        return -(p * q.log()).sum(-1) - (1 - p.sum(-1)) * (1 - q.sum(-1)).log()

    assert_rejects("02.4", cross_entropy, "cross-entropy over the kept tokens")


def test_bucket_loss_names_the_forgotten_tail(assert_rejects):
    assert_rejects("02.4", truncated, "truncated sum over the kept tokens")


def test_bucket_loss_names_the_clamp(assert_rejects):
    def clamped(student_logits, kept_ids, kept_logp):
        return torch.relu(truncated(student_logits, kept_ids, kept_logp))

    assert_rejects("02.4", clamped, "clamped to 0")


def test_bucket_loss_names_the_renormalised_teacher(assert_rejects):
    def renormalised(student_logits, kept_ids, kept_logp):
        return truncated(student_logits, kept_ids, kept_logp - kept_logp.logsumexp(-1, keepdim=True))

    assert_rejects("02.4", renormalised, "blown up")


def test_bucket_loss_names_both_sides_renormalised(assert_rejects):
    def proportions(student_logits, kept_ids, kept_logp):
        q = torch.gather(student_logits, -1, kept_ids).softmax(-1)
        p = kept_logp.exp() / kept_logp.exp().sum(-1, keepdim=True)
        return (p * (p / q).log()).sum(-1)

    assert_rejects("02.4", proportions, "proportions")


def test_bucket_loss_names_the_even_tail(assert_rejects):
    def smoothed(student_logits, kept_ids, kept_logp):
        rows, V = student_logits.shape
        p = torch.empty(rows, V)
        for row in range(rows):
            p[row] = (1 - kept_logp[row].exp().sum()) / (V - kept_ids.shape[1])
            p[row, kept_ids[row]] = kept_logp[row].exp()
        return (p * (p.log() - student_logits.log_softmax(-1))).sum(-1)

    assert_rejects("02.4", smoothed, "shared out evenly")
