import pytest

from kd_lab.how.divergences import DIVERGENCES
from kd_lab.how.traits import TRAITS, Traits


def test_every_divergence_has_its_traits_and_its_formula_in_the_same_order():
    assert list(TRAITS) == list(DIVERGENCES) == [entry.function.__name__ for entry in DIVERGENCES.values()]
    for name, traits in TRAITS.items():
        entry = vars(DIVERGENCES[name]).copy()
        del entry["function"]
        assert Traits(**entry) == traits


@pytest.mark.parametrize("name", ["jsd", "skew_kl", "skew_reverse_kl"])
def test_a_mixture_refuses_both_ends_and_says_what_stands_there(name):
    for beta, why in zip((0, 1), TRAITS[name].ends, strict=True):
        with pytest.raises(ValueError, match=f"beta of {name} is {beta}; expected 0 < beta < 1") as error:
            TRAITS[name].check_beta(beta)
        assert why in str(error.value)
    TRAITS[name].check_beta(0.5)


def test_only_a_mixture_reads_beta():
    assert [name for name, row in TRAITS.items() if row.is_mixture] == ["jsd", "skew_kl", "skew_reverse_kl"]
    TRAITS["forward_kl"].check_beta(7.0)


def test_total_variation_carries_no_t2():
    assert [row.scale(3.0) for row in TRAITS.values()] == [9.0] * 5 + [1.0]
