import numpy as np
import pytest
import torch

from kd_lab.classroom.long_runs import write
from kd_lab.how import forward_kl, total_variation
from kd_lab.lessons.l11_speculative_decoding import experiment as bench
from kd_lab.lessons.l11_speculative_decoding.bodies import time_target, with_idle_blocks
from kd_lab.lessons.l11_speculative_decoding.experiment import LOSSES, SEEDS, TEXT_ONLY
from kd_lab.lessons.l11_speculative_decoding.figures import bodies_figure
from kd_lab.lessons.l11_speculative_decoding.law import again, distance, law_of_round, target_law
from kd_lab.lessons.l11_speculative_decoding.losses import Hybrid, NegativeLogAcceptance, overlap
from kd_lab.lessons.l11_speculative_decoding.results import RESULTS, load_results, stored_draft
from kd_lab.lessons.l11_speculative_decoding.trial import alone, score, speculated
from kd_lab.models import GPT, GPTConfig, generate, load_teacher
from kd_lab.worlds import Batch


def tables(seed, size=3, depth=4):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(size**t, size, generator=generator).double().log_softmax(-1) for t in range(depth)]


# ---- the losses ------------------------------------------------------------------------------------------------------


def sides(seed=0):
    generator = torch.Generator().manual_seed(seed)
    student, teacher = torch.randn(2, 2, 3, 4, generator=generator)
    return student, teacher, Batch.from_tokens(torch.tensor([[0, 1, 2, 0], [0, 3, 0, 0]]), end=0)


def test_overlap_is_one_less_total_variation():
    q, p = torch.tensor([0.2, 0.7, 0.1]).log(), torch.tensor([0.5, 0.3, 0.2]).log()
    assert overlap(q, p).item() == pytest.approx(0.6)
    torch.testing.assert_close(overlap(q, p), 1 - total_variation(q, p))


def test_the_losses_are_what_they_say_at_the_positions_that_count():
    student, teacher, batch = sides()
    q, p = (logits[batch.mask].log_softmax(-1) for logits in (student, teacher))
    alpha, gap = overlap(q, p), forward_kl(q, p)
    assert NegativeLogAcceptance()(student, teacher, batch).item() == pytest.approx(-alpha.log().mean().item())
    share = (-3 * alpha).exp()
    wanted = (share * gap + (1 - share) * (1 - alpha)).mean().item()
    assert Hybrid()(student, teacher, batch).item() == pytest.approx(wanted)
    half = NegativeLogAcceptance()(student, teacher, batch, normalizer=10.0).item()
    assert half == pytest.approx(-alpha.log().sum().item() / 10)


@pytest.mark.parametrize("loss", [NegativeLogAcceptance(), Hybrid()])
def test_the_losses_are_zero_at_equality_and_hold_the_teacher_and_the_share_fixed(loss):
    student, teacher, batch = sides()
    assert loss(teacher, teacher, batch).item() == pytest.approx(0, abs=1e-6)
    student.requires_grad_()
    teacher.requires_grad_()
    loss(student, teacher, batch).backward()
    assert teacher.grad is None
    assert student.grad[~batch.mask].abs().max() == 0
    q, p = (logits.detach().log_softmax(-1) for logits in (student, teacher))
    alpha = overlap(q, p)[..., None]
    below = (q.exp() < p.exp()).float()
    up = q.exp() * (below - (q.exp() * below).sum(-1, keepdim=True))
    share = (-3 * alpha).exp()
    wanted = -up / alpha if isinstance(loss, NegativeLogAcceptance) else share * (q.exp() - p.exp()) - (1 - share) * up
    torch.testing.assert_close(student.grad[batch.mask], wanted[batch.mask] / batch.mask.sum())


# ---- the exact law ---------------------------------------------------------------------------------------------------


def test_a_round_by_hand():
    """One guess of two tokens: it stands with probability min(p, q), and what falls comes back as the residual."""
    p = [torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.9, 0.1], [0.2, 0.8]]).log()]
    q = [torch.tensor([[0.8, 0.2]]).log(), p[1]]
    law, tokens = law_of_round(q, p, 1)
    torch.testing.assert_close(law, torch.tensor([0.45, 0.05, 0.1, 0.4], dtype=torch.float64))
    assert tokens == pytest.approx(1.7)  # 1 + min(0.5, 0.8) + min(0.5, 0.2)
    redrawn, _ = law_of_round(q, p, 1, replace=again)  # a fallen 0 comes back as 0 half of the time
    assert redrawn[:2].sum().item() == pytest.approx(0.5 + 0.3 * 0.5)


@pytest.mark.parametrize("guesses", [1, 2, 3])
def test_a_round_is_lossless_and_its_tokens_are_a_sum_of_overlaps(guesses):
    p, q = tables(0), tables(1)
    law, tokens = law_of_round(q, p, guesses)
    assert distance(law, target_law(p, guesses + 1)) < 1e-12
    assert 1 < tokens < guesses + 1
    assert law_of_round(p, p, guesses)[1] == pytest.approx(guesses + 1)
    assert distance(law_of_round(q, p, guesses, replace=again)[0], target_law(p, guesses + 1)) > 1e-3
    assert distance(law_of_round(q, p, guesses, tested=tables(2))[0], target_law(p, guesses + 1)) > 1e-3


# ---- names that two write together -----------------------------------------------------------------------------------


def test_the_score_is_a_standard_one_for_the_target_and_far_below_for_the_draft():
    target, draft = load_teacher("surnames"), stored_draft("text only")
    start = torch.zeros(30, 1, dtype=torch.long)
    own = []
    for seed in range(20):
        chance = torch.Generator().manual_seed(seed)
        texts = generate(target, start, target.context, generator=chance, top_p=0.8)
        own.append(score(target, draft, Batch.from_tokens(texts, end=0), top_p=0.8))
    assert abs(np.mean(own)) < 4 / 20**0.5
    assert np.std(own) == pytest.approx(1, abs=0.6)
    assert alone(target, draft, 100, seed=0) < -4


def test_a_trial_counts_guesses_that_were_checked():
    trial = speculated(load_teacher("surnames"), stored_draft("forward KL"), 12, seed=0)
    assert trial.counted == pytest.approx(trial.expected, abs=0.25)
    assert 0.4 < trial.expected < 1


# ---- the same target in larger bodies --------------------------------------------------------------------------------


def test_idle_blocks_change_no_logit_and_cost_as_much_as_others():
    model = GPT(GPTConfig(vocab_size=7, context=9, layers=1, heads=2, width=16, dropout=0.3), seed=0).eval()
    deep, tokens = with_idle_blocks(model, 3), torch.tensor([[0, 3, 5, 1]])
    assert torch.equal(deep(tokens), model(tokens))
    assert deep.config.layers == 4
    assert not deep.training
    cache = deep.new_cache(1, 4)
    torch.testing.assert_close(deep(tokens[:, :2], cache=cache), model(tokens[:, :2]))


def test_a_timing_is_read_off_the_clock():
    """With a clock that goes as it is told: the draft is four times as fast, and four tokens cost 1.5 reads."""
    told = {"target": 8.0, "draft": 2.0, "speculative": 4.0, "one": 1.0, "many": 1.5}
    models = [GPT(GPTConfig(vocab_size=5, context=9, layers=1, heads=2, width=16), seed=0).eval()] * 2
    timing = time_target(
        *models, guesses=3, seed=0, names=2, clock=lambda paths, rounds: {n: np.full(rounds, told[n]) for n in paths}
    )
    assert timing.cost == pytest.approx(0.25)  # the two are one model and write the same names
    assert timing.verification == 1.5
    assert timing.promised(1.0) == pytest.approx(4 / 1.75)
    assert timing.counted == pytest.approx(timing.tokens_per_call / (1.5 + timing.guessed / timing.calls * 0.25))
    assert timing.tokens >= timing.calls
    assert len(bodies_figure({1: timing, 2: timing}, 0.8).axes) == 1


# ---- what is stored --------------------------------------------------------------------------------------------------


def test_a_seed_trains_every_draft_from_the_same_weights(monkeypatch, tmp_path):
    for name, value in {"STEPS": 2, "MORE": 1, "TEXTS": 40, "JUDGED": 20, "BATCH": 4}.items():
        monkeypatch.setattr(bench, name, value)
    runs = bench.train_seed(0, keep=tmp_path)
    places = [(run["stage"], run["loss"]) for run in runs]
    assert places == [
        *(("cold", loss) for loss in (TEXT_ONLY, *LOSSES)),
        *(("warm", loss) for loss in LOSSES),
        ("prefixes", "own texts"),
    ]
    for run in runs:
        assert 0 < run["τ = 1"] < 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["forward_kl.safetensors", "text_only.safetensors"]


def test_an_interrupted_command_goes_on_where_it_stopped(tmp_path, monkeypatch):
    """A seed is made as a whole, and its drafts stand one by one in the file."""
    output, made, interrupts = tmp_path / "results.json", [], [3]

    def train(seed, keep):
        if seed in interrupts:
            interrupts.remove(seed)
            raise KeyboardInterrupt
        made.append((seed, keep))
        return [{"stage": "cold", "loss": loss, "seed": seed, "τ = 1": 0.5} for loss in ("a", "b")]

    monkeypatch.setattr(bench, "train_seed", train)
    monkeypatch.setattr("sys.argv", ["experiment", "--output", str(output)])
    with pytest.raises(KeyboardInterrupt):
        bench.main()
    assert not output.exists()
    bench.main()
    assert made == [(seed, None if seed else tmp_path) for seed in SEEDS], "the lesson speaks with the first seed's"
    assert load_results(output).values("cold", "b").tolist() == [0.5] * len(SEEDS)
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]


def test_what_is_written_is_what_is_read(tmp_path):
    run = {"stage": "cold", "loss": "a", "seed": 0, "τ = 1": 0.5}
    write(tmp_path / "r.json", {"seeds": [0], "settings": ["τ = 1"]}, [run, run | {"loss": "b", "τ = 1": 0.75}])
    results = load_results(tmp_path / "r.json")
    assert results.losses("cold") == ["a", "b"]
    assert results.gain("cold", "b", "a").tolist() == [0.25]
    with pytest.raises(ValueError, match="no run has"):
        results.values("warm", "a")


def test_the_results_that_ship_are_complete_and_small():
    results = load_results()
    assert results.about["seeds"] == list(SEEDS)
    assert results.losses("cold") == [TEXT_ONLY, *LOSSES]
    assert results.losses("warm") == list(LOSSES)
    for stage, number in (("cold", 6), ("warm", 5), ("prefixes", 1)):
        for loss in results.losses(stage):
            for measure in results.about["settings"]:
                found = results.values(stage, loss, measure)
                assert len(found) == len(SEEDS)
                assert ((found > 0.3) & (found < 1)).all()
        assert len(results.losses(stage)) == number
    assert sum(file.stat().st_size for file in RESULTS.parent.iterdir() if file.is_file()) < 600_000
