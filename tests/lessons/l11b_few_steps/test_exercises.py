"""The checks of lesson 11b know a right answer from plausible wrong ones, and name what is wrong."""

import math

import torch

from kd_lab.classroom.diagnosis import find_exercise
from kd_lab.lessons.l11b_few_steps.exercises import toy_fake_score, toy_real_score
from kd_lab.worlds.diffusion import ode_step, signal_and_noise

# ---- 11b.1 -------------------------------------------------------------------------------------------------------


def test_step_is_the_library_s():
    x, v = torch.randn(2, 5, 2, generator=torch.Generator().manual_seed(0))
    t, u = torch.linspace(0.3, 1, 5), torch.linspace(0, 0.2, 5)
    torch.testing.assert_close(find_exercise("11b.1").reference(x, v, t, u), ode_step(x, v, t, u))


def test_step_names_euler(assert_rejects):
    def along_the_tangent(x, velocity, time, next_time):
        return x + math.pi / 2 * (next_time - time).unsqueeze(1) * velocity

    assert_rejects("11b.1", along_the_tangent, "follows the tangent")


def test_step_names_the_wrong_sense(assert_rejects):
    def forwards(x, velocity, time, next_time):
        angle = (math.pi / 2 * (next_time - time)).unsqueeze(1)
        return torch.cos(angle) * x - torch.sin(angle) * velocity

    assert_rejects("11b.1", forwards, "away from the data")


def test_step_names_time_for_an_angle(assert_rejects):
    def in_time(x, velocity, time, next_time):
        step = (time - next_time)[:, None]
        return torch.cos(step) * x - torch.sin(step) * velocity

    assert_rejects("11b.1", in_time, "The angle of a step is")


def test_step_names_the_jump_to_the_data(assert_rejects):
    def predicted_data(x, velocity, time, next_time):
        signal, spread = signal_and_noise(time)
        return signal[:, None] * x - spread[:, None] * velocity

    assert_rejects("11b.1", predicted_data, "A step stops at u")


def test_step_without_a_second_axis_is_told_the_shape(assert_rejects):
    def one_axis(x, velocity, time, next_time):
        angle = math.pi / 2 * (time - next_time)
        return (angle.cos() * x.T - angle.sin() * velocity.T).T[:, :1]

    assert_rejects("11b.1", one_axis, "shape")


# ---- 11b.2 -------------------------------------------------------------------------------------------------------


def test_target_lands_where_it_should():
    x, y = torch.randn(2, 5, 2, generator=torch.Generator().manual_seed(0))
    t, u = torch.linspace(0.3, 1, 5), torch.linspace(0, 0.2, 5)
    velocity = find_exercise("11b.2").reference(x, y, t, u)
    torch.testing.assert_close(ode_step(x, velocity, t, u), y)


def test_target_names_the_chord(assert_rejects):
    def slope(x, twice, time, next_time):
        return (x - twice) / (time - next_time)[:, None] * 2 / math.pi

    assert_rejects("11b.2", slope, "straight line's slope")


def test_target_names_the_missing_cosine(assert_rejects):
    def without_shrinking(x, twice, time, next_time):
        return (x - twice) / torch.sin(math.pi / 2 * (time - next_time))[:, None]

    assert_rejects("11b.2", without_shrinking, "shrinks x")


def test_target_names_the_sign(assert_rejects):
    def other_way(x, twice, time, next_time):
        angle = math.pi / 2 * (time - next_time)[:, None]
        return (twice - angle.cos() * x) / angle.sin()

    assert_rejects("11b.2", other_way, "minus the velocity")


def test_target_names_the_paper_s_target(assert_rejects):
    def data(x, twice, time, next_time):
        (a, s), (b, r) = signal_and_noise(time), signal_and_noise(next_time)
        share = (r / s)[:, None]
        return (twice - share * x) / (b[:, None] - share * a[:, None])

    assert_rejects("11b.2", data, "This network predicts the velocity")


# ---- 11b.3 -------------------------------------------------------------------------------------------------------


def data_from(velocity, x, time):
    return ode_step(x, velocity, time, torch.zeros_like(time))


def test_label_names_the_teacher_s_guess(assert_rejects):
    def teacher_answers(teacher, student, x, time, next_time):
        near = ode_step(x, teacher(x, time), time, next_time)
        return data_from(teacher(near, next_time), near, next_time)

    assert_rejects("11b.3", teacher_answers, "the teacher answers here")


def test_label_names_the_student_that_leads(assert_rejects):
    def student_leads(teacher, student, x, time, next_time):
        with torch.no_grad():
            near = ode_step(x, student(x, time), time, next_time)
            return data_from(student(near, next_time), near, next_time)

    assert_rejects("11b.3", student_leads, "The teacher would play no part")


def test_label_names_its_own_answer(assert_rejects):
    def no_step(teacher, student, x, time, next_time):
        with torch.no_grad():
            return data_from(student(x, time), x, time)

    assert_rejects("11b.3", no_step, "nothing is learned")


def test_label_names_the_neighbour(assert_rejects):
    def stops_early(teacher, student, x, time, next_time):
        return ode_step(x, teacher(x, time), time, next_time)

    assert_rejects("11b.3", stops_early, "still noisy")


def test_label_names_a_gradient_that_flows(assert_rejects):
    def alive(teacher, student, x, time, next_time):
        near = ode_step(x, teacher(x, time), time, next_time)
        return data_from(student(near, next_time), near, next_time)

    assert_rejects("11b.3", alive, "A target is a label")


# ---- 11b.4 -------------------------------------------------------------------------------------------------------


def test_direction_names_the_sign(assert_rejects):
    def downhill(clean, noise, time, real_score, fake_score):
        a, s = (part[:, None] for part in signal_and_noise(time))
        x = a * clean + s * noise
        return a * (real_score(x, time) - fake_score(x, time)) / len(x)

    assert_rejects("11b.4", downhill, "points downhill")


def test_direction_names_the_chain_rule(assert_rejects):
    def at_the_noised_point(clean, noise, time, real_score, fake_score):
        a, s = (part[:, None] for part in signal_and_noise(time))
        x = a * clean + s * noise
        return (fake_score(x, time) - real_score(x, time)) / len(x)

    assert_rejects("11b.4", at_the_noised_point, "follows it only by")


def test_direction_names_the_missing_noise(assert_rejects):
    def clean_scores(clean, noise, time, real_score, fake_score):
        a = signal_and_noise(time)[0][:, None]
        return a * (fake_score(clean, time) - real_score(clean, time)) / len(clean)

    assert_rejects("11b.4", clean_scores, "asked at the clean samples")


def test_direction_names_the_missing_fake_score(assert_rejects):
    def climb(clean, noise, time, real_score, fake_score):
        a, s = (part[:, None] for part in signal_and_noise(time))
        return -a * real_score(a * clean + s * noise, time) / len(clean)

    assert_rejects("11b.4", climb, "nothing keeps them apart")


def test_direction_names_the_sum(assert_rejects):
    def summed(clean, noise, time, real_score, fake_score):
        a, s = (part[:, None] for part in signal_and_noise(time))
        x = a * clean + s * noise
        return a * (fake_score(x, time) - real_score(x, time))

    assert_rejects("11b.4", summed, "mean over them")


def test_toy_scores_differ_everywhere():
    """With equal scores every answer to 11b.4 would be zero, and right."""
    x, time = torch.randn(7, 2, generator=torch.Generator().manual_seed(0)), torch.rand(7)
    assert ((toy_real_score(x, time) - toy_fake_score(x, time)).abs() > 1e-3).all()
