import pytest

from kd_lab.lessons.l06_gkd.configurations import PROJECTS, places, read_configuration, settings_in, share_of
from kd_lab.methods import fitnets, word_level
from kd_lab.methods.dialects import DIALECTS
from kd_lab.methods.served_dialects import SERVED, ms_swift, ms_swift_advantage, tinker, tinker_off_policy

DIVERGENCES = ("forward_kl", "skew_kl", "jsd", "skew_reverse_kl", "reverse_kl", "total_variation")
FRACTIONS = (0.0, 0.25, 0.5, 0.75, 1.0)


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("GKDConfig(beta=0.1, lmbda=1.0, seq_kd=False)", {"beta": 0.1, "lmbda": 1.0, "seq_kd": False}),
        ("beta: 0.9\nlmbda : .25", {"beta": 0.9, "lmbda": 0.25}),
        ('loss_mode: "k3"\nuse_policy_gradient: false', {"loss_mode": "k3", "use_policy_gradient": False}),
        ("--type mixed-srkl --skew-alpha 0.1", {"type": "mixed-srkl", "skew_alpha": 0.1}),
        ("--single-step-reg --length-norm", {"single_step_reg": True, "length_norm": True}),
        ("--lr=1e-5", {"lr": 1e-5}),
        ("", {}),
    ],
)
def test_settings_are_read_as_python_yaml_and_flags(text, settings):
    assert settings_in(text) == settings


@pytest.mark.parametrize("project", PROJECTS)
def test_every_example_is_a_recipe_with_a_place_on_the_grid(project):
    recipe, others = read_configuration(project, PROJECTS[project][1])
    assert others == []
    assert places(recipe, DIVERGENCES, FRACTIONS)


def test_a_recipe_of_two_terms_has_two_places():
    recipe, others = read_configuration("DistiLLM-2", "loss_type: distillm_v2, lr: 1e-5")
    assert others == ["lr"]
    assert places(recipe, DIVERGENCES, FRACTIONS) == [(1, 0), (3, 4)]


REVERSE, FORWARD = DIVERGENCES.index("reverse_kl"), DIVERGENCES.index("forward_kl")


@pytest.mark.parametrize(
    ("project", "text", "ours", "place"),
    [
        ("tinker", "kl_penalty_coef=1.0 kl_discount_factor=0.0", tinker(), (REVERSE, 4)),
        ("tinker", "kl_discount_factor=1.0", tinker(kl_discount_factor=1.0), (REVERSE, 4)),
        ("tinker, off-policy", "train_off_policy.Config()", tinker_off_policy(), (FORWARD, 0)),
        ("ms-swift, gkd", "swift rlhf --rlhf_type gkd", ms_swift(), (DIVERGENCES.index("jsd"), 2)),
        ("ms-swift, gkd", "--rlhf_type gkd --beta 0 --lmbda 0", ms_swift(beta=0.0, lmbda=0.0), (FORWARD, 0)),
        ("ms-swift, gkd", "beta: 1\nlmbda: 1\ntemperature: 1", ms_swift(1.0, 1.0, 1.0), (REVERSE, 4)),
        ("ms-swift, grpo", "--rlhf_type grpo --teacher_kl_coef 0.5", ms_swift_advantage(0.5), (REVERSE, 4)),
    ],
)
def test_projects_whose_teacher_is_a_server_are_read_as_their_dialects_say(project, text, ours, place):
    recipe, others = read_configuration(project, text)
    assert recipe == ours
    assert others == []
    assert places(recipe, DIVERGENCES, FRACTIONS) == [place]


def test_every_project_that_the_library_translates_can_be_pasted():
    """A project may have several entries, "ms-swift, gkd" and "ms-swift, grpo"."""
    listed = " ".join(PROJECTS)
    assert [one.project for one in (*DIALECTS, *SERVED) if one.project not in listed] == []


def test_beta_of_ms_swifts_grpo_is_none_of_the_two_dials():
    recipe, others = read_configuration("ms-swift, grpo", "--rlhf_type grpo --beta 0.04")
    assert others == ["beta"]
    assert recipe == ms_swift_advantage()


def test_a_share_between_columns_goes_to_the_nearest():
    recipe, _ = read_configuration("TRL GKDConfig", "GKDConfig(beta=1, lmbda=0.6)")
    assert share_of(recipe.terms[0].where) == 0.6
    assert places(recipe, DIVERGENCES, FRACTIONS) == [(4, 2)]


def test_what_has_no_divergence_has_no_place():
    assert places(word_level(), ("jsd",), FRACTIONS) == []
    assert places(fitnets(), DIVERGENCES, FRACTIONS) == []


@pytest.mark.parametrize(
    ("project", "text", "message"),
    [
        ("GKD", "beta=1", "expected one of 'TRL GKDConfig'"),
        ("TRL GKDConfig", "beta=high", "beta is 'high'; expected something like 0.5"),
        ("TRL GKDConfig", "beta=2", "expected a share between 0 and 1"),
        ("DistiLLM", "--type adaptive-srkl", "changes λ while it trains"),
        ("tinker", "kl_discount_factor=0.5", "a share of the future"),
        ("ms-swift, gkd", "--rlhf_type grpo", "rlhf_type is 'grpo'; expected 'gkd'"),
        ("ms-swift, grpo", "--rlhf_type gkd", "one entry for gkd and one for grpo"),
    ],
)
def test_settings_that_a_project_would_refuse_are_refused_with_the_reason(project, text, message):
    with pytest.raises(ValueError, match=message):
        read_configuration(project, text)
