"""Every method of the library on one page. Read a column downwards: the methods differ in a choice or two.

    WHAT is copied · HOW the gap is measured · WHERE the prefixes come from

`Recipe.table()` prints the three columns from the recipes below.
"""

from kd_lab.arguments import checked
from kd_lab.how import Divergence, NegativeLogLikelihood, PolicyGradient
from kd_lab.how.feature_losses import RelationalHuber, SquaredError
from kd_lab.methods.recipe import Recipe
from kd_lab.what import Features, Logits, Paths, Relations, Sequences
from kd_lab.where import Corpus, Mixture, StudentRollouts, TeacherRollouts


def labels_only() -> Recipe:
    """The data's own sequences · −log q · a fixed set: the baseline that every method has to beat. No teacher.

    >>> print(labels_only())
    labels only: sequences × forward KL (hard) × fixed set
    """
    return Recipe("labels only", Sequences(), NegativeLogLikelihood(), Corpus())


@checked
def hinton(temperature: float = 2.0, label_weight: float = 0.1) -> Recipe:
    """Logits · forward KL at temperature τ, mixed with the labels · a fixed set.

    >>> print(hinton(temperature=4.0))
    Hinton KD: logits × forward KL, τ = 4 + 0.1 labels × fixed set

    Source: Hinton, Vinyals & Dean (2015), arXiv:1503.02531, section 2.
    """
    how = Divergence("forward_kl", temperature=temperature, label_weight=label_weight)
    return Recipe("Hinton KD", Logits(), how, Corpus(), source="arXiv:1503.02531")


@checked
def fitnets(student_layer: int = -1, teacher_layer: int = -1, weight: float = 0.01) -> Recipe:
    """Features of one layer, through a projector · squared distance beside the labels · a fixed set.

    >>> print(fitnets())
    FitNets: features × 0.01·L2 + labels × fixed set

    Source: Romero et al. (2015), arXiv:1412.6550, equation 3.
    """
    what = Features(student_layer=student_layer, teacher_layer=teacher_layer)
    return Recipe("FitNets", what, SquaredError(weight), Corpus(), source="arXiv:1412.6550")


@checked
def rkd(
    student_layer: int = -1, teacher_layer: int = -1, distance_weight: float = 25.0, angle_weight: float = 50.0
) -> Recipe:
    """Distances and angles between texts · Huber beside the labels · a fixed set.

    >>> print(rkd())
    RKD: relations × relational Huber + labels × fixed set

    Source: Park et al. (2019), arXiv:1904.05068, equations 6, 7 and 10.
    """
    what = Relations(student_layer=student_layer, teacher_layer=teacher_layer)
    how = RelationalHuber(distance_weight=distance_weight, angle_weight=angle_weight)
    return Recipe("RKD", what, how, Corpus(), source="arXiv:1904.05068")


@checked
def word_level(divergence: str = "forward_kl", temperature: float = 1.0) -> Recipe:
    """Logits · forward KL at every position · a fixed set.

    >>> print(word_level("reverse_kl"))
    word-level KD: logits × reverse KL × fixed set

    Source: Kim & Rush (2016), arXiv:1606.07947, section 3.1.
    """
    how = Divergence(divergence, temperature=temperature)
    return Recipe("word-level KD", Logits(), how, Corpus(), source="arXiv:1606.07947")


@checked
def sequence_level(decode: str = "sample", size: int = 2048, beam_width: int = 5) -> Recipe:
    """Sequences · −log q · texts of the teacher. Text is enough, so the teacher may be an API.

    Args:
        decode: "sample" estimates the sequence-level forward KL; "beam" keeps the mode (Kim & Rush); "greedy" its
            cheap stand-in.
        size: texts that the teacher writes before training starts.
        beam_width: of the search, where `decode` is "beam".

    >>> print(sequence_level(decode="beam"))
    sequence-level KD: sequences × forward KL (hard) × teacher's beam mode

    Source: Kim & Rush (2016), arXiv:1606.07947, section 3.2.
    """
    where = TeacherRollouts(size=size, decode=decode, beam_width=beam_width)
    return Recipe("sequence-level KD", Sequences(), NegativeLogLikelihood(), where, source="arXiv:1606.07947")


@checked
def on_policy(divergence: str = "reverse_kl", beta: float = 0.5, temperature: float = 1.0) -> Recipe:
    """Logits · reverse KL at every position · texts of the student, fresh at every step.

    No gradient flows through the choice of the tokens: this is DAgger with a teacher as the expert, and not the
    gradient of the sequence-level reverse KL, for which see `minillm`.

    Args:
        divergence: any of `softmax_kl`.
        beta: the teacher's share of the mixture, for the divergences that have one.
        temperature: τ of the divergence; the student always writes at 1.

    >>> print(on_policy(temperature=2.0))
    on-policy KD: logits × reverse KL, τ = 2 × on-policy (student)

    Source: Agarwal et al. (2024), arXiv:2306.13649, equation 4; Ross, Gordon & Bagnell (2011), arXiv:1011.0686.
    """
    how = Divergence(divergence, beta=beta, temperature=temperature)
    return Recipe("on-policy KD", Logits(), how, StudentRollouts(), source="arXiv:2306.13649")


@checked
def gkd(
    beta: float = 0.5,
    on_policy_fraction: float = 0.5,
    divergence: str = "jsd",
    temperature: float = 1.0,
    otherwise: Corpus | TeacherRollouts | None = None,
) -> Recipe:
    """Logits · any divergence, JSD(β) by default · the student with probability λ, else a fixed set.

    λ = 0 with forward KL is word-level distillation, λ = 1 with reverse KL is on-policy reverse KL.

    Args:
        beta: the teacher's share of the mixture, for the divergences that have one.
        on_policy_fraction: λ; one coin per batch.
        divergence: any of `softmax_kl`.
        temperature: τ of the divergence; the student always writes at 1.
        otherwise: the texts that are visited with probability 1 − λ; the world's own by default.

    >>> print(gkd(beta=0.1, on_policy_fraction=1.0))
    GKD: logits × JSD(0.1) × mix, λ = 1

    Source: Agarwal et al. (2024), arXiv:2306.13649, algorithm 1.
    """
    how = Divergence(divergence, beta=beta, temperature=temperature)
    where = Mixture(on_policy_fraction, otherwise=otherwise or Corpus())
    return Recipe("GKD", Logits(), how, where, source="arXiv:2306.13649")


@checked
def minillm(
    single_step: bool = True, length_norm: bool = True, teacher_mix: float = 0.2, importance: str = "token"
) -> Recipe:
    """Whole texts with their logits · sequence-level reverse KL by policy gradient · the student, teacher-mixed.

    Args:
        single_step: the immediate term as an expectation over the vocabulary.
        length_norm: the future as a mean and not as a sum.
        teacher_mix: α, the teacher's share in drawing each token.
        importance: "token" corrects α at each token alone, as the paper does; "sequence" corrects it exactly,
            where q is read without dropout and without autocast; see `importance_weights`.

    Left out are the paper's clipping of the ratio over several updates on one batch (here each batch is used once) and
    its language-model loss on a pre-training corpus, which is a second term: `Term(Sequences(),
    NegativeLogLikelihood(), Corpus())`.

    >>> print(minillm(teacher_mix=0.0))
    MiniLLM: sequences, with logits × reverse KL (PG) × on-policy (student)

    Source: Gu et al. (2024), arXiv:2306.08543, equations 2 to 7.
    """
    how = PolicyGradient(single_step=single_step, length_norm=length_norm, importance=importance)
    return Recipe("MiniLLM", Paths(), how, StudentRollouts(teacher_mix=teacher_mix), source="arXiv:2306.08543")


METHODS = (labels_only, hinton, fitnets, rkd, word_level, sequence_level, on_policy, gkd, minillm)
"""Every method of the library, in the order of the three-knob table."""
