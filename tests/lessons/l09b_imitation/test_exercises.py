"""The checks of lesson 09b accept right answers, also unusual ones, and name each mistake."""

from kd_lab.classroom.diagnosis import diagnose, find_exercise

# ---- 09b.1 -----------------------------------------------------------------------------------------------------------


def test_fooled_may_be_a_ratio_of_sums():
    def by_sums(accepted, right):
        wrong = right.logical_not()
        return (accepted & wrong).sum() / wrong.sum().clamp_min(1)

    assert diagnose(find_exercise("09b.1"), by_sums) is None


def test_fooled_names_the_wrong_denominator(assert_rejects):
    def of_everything(accepted, right):
        return (accepted & ~right).float().mean().item()

    def of_the_accepted(accepted, right):
        return ((accepted & ~right).sum() / accepted.sum().clamp_min(1)).item()

    def of_right_ones(accepted, right):
        return accepted[right].float().mean().item()

    assert_rejects("09b.1", of_everything, "divided by all answers")
    assert_rejects("09b.1", of_the_accepted, "among the accepted")
    assert_rejects("09b.1", of_right_ones, "*right* answers")


def test_fooled_names_nothing_divided_by_nothing(assert_rejects):
    def bare(accepted, right):
        return accepted[~right].float().mean().item()

    assert_rejects("09b.1", bare, "0/0")


# ---- 09b.2 -----------------------------------------------------------------------------------------------------------


def test_evolution_may_be_written_with_a_queue():
    def with_a_dict(seeds, rewrite, rounds):
        data, now = [*seeds], dict(enumerate(seeds))
        for number in range(rounds):
            for place in list(now):
                new = rewrite(now[place], number + 1)
                if new != now[place]:
                    data.append(new)
                    now[place] = new
        return data

    assert diagnose(find_exercise("09b.2"), with_a_dict) is None


def test_evolution_names_lost_rounds_and_seeds(assert_rejects):
    def hardest(seeds, rewrite, rounds):
        for number in range(rounds):
            seeds = [rewrite(problem, number + 1) for problem in seeds]
        return seeds

    def without_seeds(seeds, rewrite, rounds):
        data, now = [], seeds
        for number in range(rounds):
            new = [rewrite(problem, number + 1) for problem in now]
            data += [b for a, b in zip(now, new, strict=True) if a != b]
            now = new
        return data

    assert_rejects("09b.2", hardest, "Only the hardest")
    assert_rejects("09b.2", without_seeds, "seeds are missing")


def test_evolution_names_what_happens_to_failures(assert_rejects):
    def keeps(seeds, rewrite, rounds):
        data, now = [*seeds], seeds
        for number in range(rounds):
            now = [rewrite(problem, number + 1) for problem in now]
            data.extend(now)
        return data

    def forgets(seeds, rewrite, rounds):
        data, now = [*seeds], seeds
        for number in range(rounds):
            now = [new for old in now if (new := rewrite(old, number + 1)) != old]
            data.extend(now)
        return data

    assert_rejects("09b.2", keeps, "repeats a problem")
    assert_rejects("09b.2", forgets, "never tried again")


def test_evolution_leaves_its_seeds_alone(assert_rejects):
    def in_place(seeds, rewrite, rounds):
        current = list(seeds)
        for number in range(1, rounds + 1):
            rewritten = [rewrite(problem, number) for problem in current]
            seeds += [new for new, old in zip(rewritten, current, strict=True) if new != old]
            current = rewritten
        return seeds

    assert_rejects("09b.2", in_place, "the argument seeds is changed on the way")


# ---- 09b.3 -----------------------------------------------------------------------------------------------------------


def test_verified_sampling_may_use_while():
    def with_while(problems, ask, right, tries):
        kept = []
        for problem in problems:
            attempt = 0
            while attempt < tries and not right(problem, ask(problem, attempt)):
                attempt += 1
            if attempt < tries:
                kept.append([problem, ask(problem, attempt)])
        return kept

    assert diagnose(find_exercise("09b.3"), with_while) is None


def test_verified_sampling_names_its_mistakes(assert_rejects):
    def once(problems, ask, right, tries):
        return [(problem, ask(problem, 0)) for problem in problems if right(problem, ask(problem, 0))]

    def anyway(problems, ask, right, tries):
        kept = []
        for problem in problems:
            for attempt in range(tries):
                answer = ask(problem, attempt)
                if right(problem, answer):
                    break
            kept.append((problem, answer))
        return kept

    def all_of_them(problems, ask, right, tries):
        kept = []
        for problem in problems:
            kept += [(problem, ask(problem, i)) for i in range(tries) if right(problem, ask(problem, i))]
        return kept

    assert_rejects("09b.3", once, "Only the first answer")
    assert_rejects("09b.3", anyway, "kept all the same")
    assert_rejects("09b.3", all_of_them, "Stop at the first")
