"""Exercises of lesson 11b: reference solutions, and the mistakes that their checks name."""

import math

import torch

from kd_lab.classroom.diagnosis import Case, Exercise, Misconception, Mistake
from kd_lab.worlds.diffusion import signal_and_noise


def ddim_step(x, velocity, time, next_time):
    """From x_t to x_u: points and velocities [N, 2], times t and u [N] -> [N, 2]."""
    angle = (math.pi / 2 * (time - next_time))[:, None]
    # Data and noise are a pair of axes; x and v are another pair, turned by πt/2. A step turns back by the difference.
    return angle.cos() * x - angle.sin() * velocity


def two_step_target(x, twice, time, next_time):
    """The velocity whose one step from x lands on `twice`: [N, 2], [N, 2], [N], [N] -> [N, 2]."""
    angle = (math.pi / 2 * (time - next_time))[:, None]
    # ddim_step solved for the velocity.
    return (angle.cos() * x - twice) / angle.sin()


def consistency_target(teacher, student, x, time, next_time):
    """The data that the student's answer at x shall equal: [N, 2], [N], [N] -> [N, 2], without a gradient."""
    with torch.no_grad():
        neighbour = ddim_step(x, teacher(x, time), time, next_time)
        return ddim_step(neighbour, student(neighbour, next_time), next_time, torch.zeros_like(next_time))


def matching_gradient(clean, noise, time, real_score, fake_score):
    """∂/∂(samples) of KL(q_t‖p_t), averaged over the batch: [N, 2], [N, 2], [N] -> [N, 2]."""
    signal, spread = signal_and_noise(time)
    x = signal[:, None] * clean + spread[:, None] * noise
    # ∂x_t/∂x_0 is the signal's weight: a sample that is nearly noise can be moved by little.
    return signal[:, None] * (fake_score(x, time) - real_score(x, time)) / len(x)


# ---- right answers that look nothing like the reference's ------------------------------------------------------------


def by_data_and_noise(x, velocity, time, next_time):
    signal, spread = signal_and_noise(time)
    data = signal[:, None] * x - spread[:, None] * velocity
    noise = spread[:, None] * x + signal[:, None] * velocity
    later_signal, later_spread = signal_and_noise(next_time)
    return later_signal[:, None] * data + later_spread[:, None] * noise


def by_complex_numbers(x, velocity, time, next_time):
    turned = (x + 1j * velocity) * torch.exp(1j * math.pi / 2 * (time - next_time))[:, None]
    return turned.real


def target_by_data(x, twice, time, next_time):
    """As the paper has it: the x_0 that the step would need, and then its velocity."""
    (signal, spread), (later_signal, later_spread) = signal_and_noise(time), signal_and_noise(next_time)
    share = (later_spread / spread)[:, None]
    data = (twice - share * x) / (later_signal[:, None] - share * signal[:, None])
    return (signal[:, None] * x - data) / spread[:, None]


def target_by_solving(x, twice, time, next_time):
    """Row by row: the step is affine in the velocity, so two steps tell it all."""
    none = ddim_step(x, torch.zeros_like(x), time, next_time)
    one = ddim_step(x, torch.ones_like(x), time, next_time)
    return (twice - none) / (one - none)


def goal_detached(teacher, student, x, time, next_time):
    near = by_data_and_noise(x, teacher(x, time), time, next_time)
    signal, spread = (part.unsqueeze(1) for part in signal_and_noise(next_time))
    return (signal * near - spread * student(near, next_time)).detach()


@torch.no_grad()
def goal_by_points(teacher, student, x, time, next_time):
    """Data and noise spelled out at both times."""
    (signal, spread), (later_signal, later_spread) = (
        (part.reshape(-1, 1) for part in signal_and_noise(one)) for one in (time, next_time)
    )
    velocity = teacher(x, time)
    data, noise = signal * x - spread * velocity, spread * x + signal * velocity
    near = later_signal * data + later_spread * noise
    return later_signal * near - later_spread * student(near, next_time)


def gradient_by_autograd(clean, noise, time, real_score, fake_score):
    samples = clean.clone().requires_grad_()
    signal, spread = signal_and_noise(time)
    x = signal[:, None] * samples + spread[:, None] * noise
    with torch.no_grad():
        direction = fake_score(x, time) - real_score(x, time)
    return torch.autograd.grad((direction * x).sum(1).mean(), samples)[0]


def gradient_by_sums(clean, noise, time, real_score, fake_score):
    a, s = torch.cos(math.pi / 2 * time), torch.sin(math.pi / 2 * time)
    x = torch.einsum("n,nd->nd", a, clean) + torch.einsum("n,nd->nd", s, noise)
    pull = torch.einsum("n,nd->nd", a, real_score(x, time)) / len(x)
    return torch.einsum("n,nd->nd", a, fake_score(x, time)) / len(x) - pull


# ---- cases -----------------------------------------------------------------------------------------------------------


def rows(count, seed):
    """Points and velocities [N, 2], and times t > u [N]."""
    generator = torch.Generator().manual_seed(seed)
    x, velocity = torch.randn(2, count, 2, generator=generator)
    time = 0.4 + 0.6 * torch.rand(count, generator=generator)
    return x, velocity, time, time * (0.2 + 0.6 * torch.rand(count, generator=generator))


def toy_teacher(x, time):
    return torch.tanh(x) * (1 + time[:, None]) - 0.5


class ToyStudent(torch.nn.Module):
    """Something with weights, so that a gradient can flow where it should not."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([[0.5, -1.0], [0.3, 0.8]]))

    def forward(self, x, time):
        return x @ self.weight + time[:, None] ** 2


def neighbours(count, seed):
    x, _, time, next_time = rows(count, seed)
    return toy_teacher, ToyStudent(), x, time, next_time


def toy_real_score(x, time):
    return (1.5 - x) / (1 + time[:, None])


def toy_fake_score(x, time):
    return -x / (0.5 + time[:, None])


def samples(count, seed):
    clean, noise, time, _ = rows(count, seed)
    return clean, noise, time, toy_real_score, toy_fake_score


def without_gradient(candidate):
    """The target is a label: no gradient may pass through it."""
    teacher, student, x, time, next_time = neighbours(3, 4)
    if getattr(candidate(teacher, student, x, time, next_time), "requires_grad", False):
        raise Misconception(
            "The value is right, but a gradient flows through the target. Then both answers are moved towards each "
            "other, and the loss can fall without either of them getting nearer to the data. A target is a label: "
            "compute it under torch.no_grad().",
            ("case: three points", "the returned tensor has requires_grad = True"),
        )


ONE_STEP = Case(
    "one point, from t = 1 to u = ½",
    lambda: (torch.tensor([[0.6, 1.0]]), torch.tensor([[-2.0, 0.5]]), torch.tensor([1.0]), torch.tensor([0.5])),
)

EXERCISES = {
    "11b.1": Exercise(
        reference=ddim_step,
        explanation=(
            "Let φ = πt/2. Predicted data and noise are D = cos φ·x − sin φ·v and E = sin φ·x + cos φ·v: x and v, "
            "turned by φ. Mixed anew at the angle ψ = πu/2, cos ψ·D + sin ψ·E is x and v turned by φ − ψ. So one "
            "cosine and one sine of the difference are enough. To u = 0 it is the predicted data itself."
        ),
        cases=(
            ONE_STEP,
            Case("three points, each with its own times", lambda: rows(3, 0)),
            Case("five points, each with its own times", lambda: rows(5, 1)),
        ),
        unusual=(by_data_and_noise, by_complex_numbers),
        mistakes=(
            Mistake(
                "Euler's step",
                "This follows the tangent: x less the angle times v. The mixture of data and noise then no longer has "
                "weights whose squares sum to 1. DDIM keeps the predicted data and noise and mixes them anew, which is "
                "a turn.",
                lambda x, v, t, u: x - (math.pi / 2 * (t - u))[:, None] * v,
            ),
            Mistake(
                "towards the noise",
                "The turn has the wrong sense: this leads away from the data. v points from data to noise, and time "
                "runs backwards here.",
                lambda x, v, t, u: ddim_step(x, -v, t, u),
            ),
            Mistake(
                "the angle is not the time",
                "The angle of a step is π/2·(t − u): time runs from 0 to 1, and the angle from 0 to a right angle.",
                lambda x, v, t, u: (t - u).cos()[:, None] * x - (t - u).sin()[:, None] * v,
            ),
            Mistake(
                "all the way",
                "This is the predicted data, the point at u = 0, for whatever `next_time` is. A step stops at u.",
                lambda x, v, t, u: ddim_step(x, v, t, 0 * u),
            ),
            Mistake(
                "by the end's angle",
                "This turns by the angle of `next_time`. The turn is from t to u: by the difference of their angles.",
                lambda x, v, t, u: ddim_step(x, v, u, 0 * u),
            ),
            Mistake(
                "sine and cosine exchanged",
                "Sine and cosine have changed places: a step of length zero should leave x where it is.",
                lambda x, v, t, u: (
                    (math.pi / 2 * (t - u)).sin()[:, None] * x - (math.pi / 2 * (t - u)).cos()[:, None] * v
                ),
            ),
        ),
    ),
    "11b.2": Exercise(
        reference=two_step_target,
        explanation=(
            "One step is y = cos δ·x − sin δ·v. Two teacher steps say what y has to be; solved for v, the equation "
            "gives the network's target. The paper computes the same from the other end: which x_0 would a DDIM step "
            "have to predict, so that it lands on y? In these coordinates the two are one line."
        ),
        cases=(
            ONE_STEP,
            Case("three points, each with its own times", lambda: rows(3, 2)),
            Case("five points, each with its own times", lambda: rows(5, 3)),
        ),
        unusual=(target_by_data, target_by_solving),
        mistakes=(
            Mistake(
                "slope of the chord",
                "This is the straight line's slope, (x − y)/δ. A step of DDIM is a turn and no straight line: put "
                "your velocity into ddim_step, and see where it lands.",
                lambda x, y, t, u: (x - y) / (math.pi / 2 * (t - u))[:, None],
            ),
            Mistake(
                "cosine missing",
                "The step also shrinks x by cos δ before it subtracts sin δ·v. Solve for v again.",
                lambda x, y, t, u: (x - y) / (math.pi / 2 * (t - u)).sin()[:, None],
            ),
            Mistake(
                "sign",
                "This is minus the velocity: with it the step goes as far in the opposite direction.",
                lambda x, y, t, u: -two_step_target(x, y, t, u),
            ),
            Mistake(
                "predicted data",
                "This is the x_0 that the step has to predict, which is the target in the paper's notation. This "
                "network predicts the velocity.",
                lambda x, y, t, u: ddim_step(x, two_step_target(x, y, t, u), t, 0 * u),
            ),
            Mistake(
                "the angle is not the time",
                "The angle of a step is π/2·(t − u), not t − u.",
                lambda x, y, t, u: ((t - u).cos()[:, None] * x - y) / (t - u).sin()[:, None],
            ),
            Mistake(
                "all the way",
                "The angle here is that of t, as if the step ended at the data. It ends at u.",
                lambda x, y, t, u: two_step_target(x, y, t, 0 * u),
            ),
        ),
    ),
    "11b.3": Exercise(
        reference=consistency_target,
        explanation=(
            "The teacher does what it does well, a short step. The student answers from there, where the task is a "
            "little easier, and that answer is the label for its answer at x. At u = 0 the student's answer is its "
            "input, whatever the network says: cos 0 = 1 and sin 0 = 0. From this end the truth is handed on, "
            "interval by interval, up to pure noise. In training the label comes from a running average of the "
            "student's weights."
        ),
        cases=(
            Case("one point, from t to u", lambda: neighbours(1, 0)),
            Case("three points, each with its own times", lambda: neighbours(3, 1)),
            Case("five points, each with its own times", lambda: neighbours(5, 2)),
        ),
        unusual=(goal_detached, goal_by_points),
        check=without_gradient,
        mistakes=(
            Mistake(
                "the teacher's own guess",
                "From the neighbour on, the teacher answers here. That is its guess in one step, the blurred one. The "
                "label has to be what the student answers at the neighbour.",
                lambda teacher, student, x, t, u: goal_by_points(teacher, teacher, x, t, u),
            ),
            Mistake(
                "the student leads",
                "The step to the neighbour is the student's own. The teacher would play no part: its velocity is what "
                "keeps the two points on one trajectory.",
                lambda teacher, student, x, t, u: goal_by_points(student, student, x, t, u),
            ),
            Mistake(
                "its own answer",
                "The target is the student's answer at x itself: the loss is zero, and nothing is learned. Move one "
                "step towards the data first.",
                lambda teacher, student, x, t, u: ddim_step(x, student(x, t), t, 0 * t).detach(),
            ),
            Mistake(
                "the neighbour itself",
                "This is the neighbour, a point that is still noisy. The target is the data to which it leads.",
                lambda teacher, student, x, t, u: ddim_step(x, teacher(x, t), t, u),
            ),
            Mistake(
                "the old time",
                "The student is asked about the neighbour with the time of x. The neighbour stands at `next_time`.",
                lambda teacher, student, x, t, u: ddim_step(
                    ddim_step(x, teacher(x, t), t, u), student(ddim_step(x, teacher(x, t), t, u), t), t, 0 * t
                ).detach(),
            ),
        ),
    ),
    "11b.4": Exercise(
        reference=matching_gradient,
        explanation=(
            "KL(q_t‖p_t) is the mean of log q_t(x_t) − log p_t(x_t) over the student's noised samples. Moving a sample "
            "changes it by ∇log q_t − ∇log p_t at x_t, times ∂x_t/∂x_0 = a. That log q_t itself changes with the "
            "student adds nothing: E_q[∂ log q] = 0, as in lesson 07. So the fake score pushes samples away from where "
            "there are many, and the real one pulls them to where the teacher has many."
        ),
        cases=(
            Case("one sample", lambda: samples(1, 0)),
            Case("three samples, each with its own time", lambda: samples(3, 1)),
            Case("five samples, each with its own time", lambda: samples(5, 2)),
        ),
        unusual=(gradient_by_autograd, gradient_by_sums),
        mistakes=(
            Mistake(
                "sign",
                "This points downhill. Return the gradient itself, fake less real; the optimizer subtracts it.",
                lambda clean, noise, t, real, fake: -matching_gradient(clean, noise, t, real, fake),
            ),
            Mistake(
                "the noise's chain rule is missing",
                "The direction at x_t is right. But the parameters move the clean sample, and x_t follows it only by "
                "the factor ∂x_t/∂x_0.",
                lambda clean, noise, t, real, fake: (
                    matching_gradient(clean, noise, t, real, fake) / signal_and_noise(t)[0][:, None]
                ),
            ),
            Mistake(
                "no noise",
                "The scores are asked at the clean samples. There a sample that is off the teacher's modes gets hardly "
                "any useful direction; both distributions are compared after noise.",
                lambda clean, noise, t, real, fake: (
                    signal_and_noise(t)[0][:, None] * (fake(clean, t) - real(clean, t)) / len(clean)
                ),
            ),
            Mistake(
                "real score alone",
                "The fake score is missing. Every sample then climbs to its nearest mode, all to the same point, and "
                "nothing keeps them apart.",
                lambda clean, noise, t, real, fake: matching_gradient(
                    clean, noise, t, real, lambda x, time: torch.zeros_like(x)
                ),
            ),
            Mistake(
                "a sum",
                "This is the sum over samples. The KL is a mean over them: with 1/N in front, the step does not grow "
                "with the batch.",
                lambda clean, noise, t, real, fake: len(clean) * matching_gradient(clean, noise, t, real, fake),
            ),
            Mistake(
                "signal and noise exchanged",
                "The weights of data and noise have changed places: at t = 0 the sample should be clean.",
                lambda clean, noise, t, real, fake: matching_gradient(
                    clean, noise, 1 - t, lambda x, _: real(x, t), lambda x, _: fake(x, t)
                ),
            ),
        ),
    ),
}
