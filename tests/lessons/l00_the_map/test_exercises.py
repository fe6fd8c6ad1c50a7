"""Wrong answers to the exercises of lesson 00, written as a learner would write them."""

import pytest
import torch
from torch.nn.functional import cross_entropy, kl_div

from kd_lab.classroom.diagnosis import diagnose, find_exercise


def test_text_logp_names_the_missing_shift(assert_rejects):
    def not_shifted(logits, tokens, mask):
        logp = torch.log_softmax(logits, dim=-1)
        total = torch.zeros(len(tokens))
        for row in range(len(tokens)):
            for t in range(mask.shape[1]):
                if mask[row, t]:
                    total[row] += logp[row, t, tokens[row, t]]
        return total

    assert_rejects("00.1", not_shifted, "read last")


def test_text_logp_names_the_forgotten_end(assert_rejects):
    def letters_only(logits, tokens, mask):
        logp = logits.log_softmax(-1)
        texts = []
        for row, ids in zip(logp, tokens, strict=True):
            letters = [int(i) for i in ids if i != 0]
            texts.append(sum(row[t, letter] for t, letter in enumerate(letters)))
        return torch.stack(texts)

    assert_rejects("00.1", letters_only, "end mark is missing")


def test_text_logp_names_the_counted_padding(assert_rejects):
    def everything(logits, tokens, mask):
        return -cross_entropy(logits.transpose(1, 2), tokens[:, 1:], reduction="none").sum(1)

    assert_rejects("00.1", everything, "after the end mark")


def test_text_logp_names_the_mean(assert_rejects):
    def mean(logits, tokens, mask):
        chosen = -cross_entropy(logits.transpose(1, 2), tokens[:, 1:], reduction="none")
        return torch.stack([values[counts].mean() for values, counts in zip(chosen, mask, strict=True)])

    assert_rejects("00.1", mean, "averages over the positions")


def test_text_logp_names_the_missing_softmax(assert_rejects):
    def sum_of_logits(logits, tokens, mask):
        return (torch.gather(logits, 2, tokens[:, 1:].unsqueeze(2))[..., 0] * mask).sum(1)

    assert_rejects("00.1", sum_of_logits, "sums of logits")


def test_tree_kl_names_missing_weights(assert_rejects):
    def every_node_alike(student, teacher):
        return sum((p.exp() * (p - q)).sum() for q, p in zip(student, teacher, strict=True))

    assert_rejects("00.2", every_node_alike, "Every node counts the same")


def test_tree_kl_names_the_mean_over_nodes(assert_rejects):
    def mean_over_nodes(student, teacher):
        return sum((p.exp() * (p - q)).sum(-1).mean() for q, p in zip(student, teacher, strict=True))

    assert_rejects("00.2", mean_over_nodes, "averaged, as if all were visited")


def test_tree_kl_names_the_students_walk(assert_rejects):
    def student_walks(student, teacher):
        total, weight = 0.0, torch.ones(1)
        for q, p in zip(student, teacher, strict=True):
            total += (weight * (p.exp() * (p - q)).sum(-1)).sum()
            weight = (weight[:, None] * q.exp()).reshape(-1)
        return total

    assert_rejects("00.2", student_walks, "how often the student reaches")


def test_tree_kl_names_the_reversed_divergence(assert_rejects):
    def reversed_kl(student, teacher):
        total, weight = 0.0, torch.ones(1)
        for q, p in zip(student, teacher, strict=True):
            total += (weight * (q.exp() * (q - p)).sum(-1)).sum()
            weight = (weight[:, None] * p.exp()).reshape(-1)
        return total

    assert_rejects("00.2", reversed_kl, "KL(q‖p)")


def test_tree_kl_names_the_forgotten_path(assert_rejects):
    def last_choice_as_weight(student, teacher):
        total = (teacher[0].exp() * (teacher[0] - student[0])).sum()
        for t in range(1, len(teacher)):
            gap = (teacher[t].exp() * (teacher[t] - student[t])).sum(-1)
            total += (teacher[t - 1].exp().flatten() * gap).sum()
        return total

    assert_rejects("00.2", last_choice_as_weight, "last token alone")


def trained(student, teacher, batches, optimizer, loss_of, zero=True):
    losses = []
    for batch in batches:
        with torch.no_grad():
            p = teacher(batch.inputs)
        loss = loss_of(student(batch.inputs), p, batch)
        if zero:
            optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_distill_by_hand_names_the_reversed_direction(assert_rejects):
    def kl_div_the_other_way(student, teacher, batches, optimizer):
        def loss(q, p, batch):  # torch's kl_div(input, target) is KL(target‖input)
            gap = kl_div(p.log_softmax(-1), q.log_softmax(-1), reduction="none", log_target=True).sum(-1)
            return gap[batch.mask].mean()

        return trained(student, teacher, batches, optimizer, loss)

    assert_rejects("00.3", kl_div_the_other_way, "KL(q‖p)")


def test_distill_by_hand_names_training_on_labels(assert_rejects):
    def next_token(student, teacher, batches, optimizer):
        def loss(q, p, batch):
            return cross_entropy(q[batch.mask], batch.targets[batch.mask])

        return trained(student, teacher, batches, optimizer, loss)

    assert_rejects("00.3", next_token, "no say")


def test_distill_by_hand_names_soft_cross_entropy(assert_rejects):
    def soft_targets(student, teacher, batches, optimizer):
        def loss(q, p, batch):
            return cross_entropy(q[batch.mask], p.softmax(-1)[batch.mask])

        return trained(student, teacher, batches, optimizer, loss)

    assert_rejects("00.3", soft_targets, "teacher's entropy")


def test_distill_by_hand_names_the_counted_padding(assert_rejects):
    def no_mask(student, teacher, batches, optimizer):
        def loss(q, p, batch):
            return kl_div(q.log_softmax(-1), p.softmax(-1), reduction="none").sum(-1).mean()

        return trained(student, teacher, batches, optimizer, loss)

    assert_rejects("00.3", no_mask, "after the end")


def forward_kl_loss(q, p, batch):
    return kl_div(q.log_softmax(-1), p.softmax(-1), reduction="none").sum(-1)[batch.mask].mean()


def test_distill_by_hand_names_gradients_that_pile_up(assert_rejects):
    def never_zeroed(student, teacher, batches, optimizer):
        return trained(student, teacher, batches, optimizer, forward_kl_loss, zero=False)

    assert_rejects("00.3", never_zeroed, "adds to the gradients")


def test_distill_by_hand_names_the_teachers_gradient(assert_rejects):
    def teacher_in_the_graph(student, teacher, batches, optimizer):
        losses = []
        for batch in batches:
            loss = forward_kl_loss(student(batch.inputs), teacher(batch.inputs), batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    assert_rejects("00.3", teacher_in_the_graph, "through the teacher")


def test_distill_by_hand_names_a_teacher_that_is_taught(assert_rejects):
    def both_learn(student, teacher, batches, optimizer):
        losses = trained(student, teacher, batches, optimizer, forward_kl_loss)
        with torch.no_grad():
            teacher.tables[0].sub_(0.1)
        return losses

    assert_rejects("00.3", both_learn, "teacher's weights have changed")


# ---- a check is never wrong -----------------------------------------------------------------------------------------


def test_a_largest_factor_is_not_told_that_its_end_mark_is_missing():
    """On the text "b" both are log ¼ or log ½; on two texts they part."""

    def largest(logits, tokens, mask):
        chosen = logits.log_softmax(-1).gather(-1, tokens[:, 1:, None]).squeeze(-1)
        return (chosen * mask).amax(-1)

    assert diagnose(find_exercise("00.1"), largest).message.startswith("The value differs")


@pytest.mark.parametrize("small", [1e-6, 1e-8, 1e-12, 1e-20])
def test_no_check_passes_a_small_number_inside_the_logarithm(small):
    def text_logp(logits, tokens, mask):
        chosen = logits.softmax(-1).gather(-1, tokens[:, 1:, None]).squeeze(-1)
        return ((chosen + small).log() * mask).sum(-1)

    def tree_kl(student, teacher):
        total, reached = 0.0, torch.ones(1)
        for q, p in zip(student, teacher, strict=True):
            p, q = p.exp(), q.exp()
            total = total + (reached[:, None] * torch.where(p > 0, p * (p / (q + small)).log(), 0)).sum()
            reached = (reached[:, None] * p).flatten()
        return total

    def distill_by_hand(student, teacher, batches, optimizer):
        losses = []
        for batch in batches:
            p, q = teacher(batch.inputs).detach().softmax(-1), student(batch.inputs).softmax(-1)
            loss = (p * (p.log() - (q + small).log())).sum(-1)[batch.mask].mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    for identifier, wrong in (("00.1", text_logp), ("00.2", tree_kl), ("00.3", distill_by_hand)):
        assert diagnose(find_exercise(identifier), wrong) is not None, identifier
