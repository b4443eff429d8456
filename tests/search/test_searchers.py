"""What every searcher promises."""

import json
import math

import numpy as np
import pytest

from keras_nasnet.search import (
    PUBLISHED,
    Controller,
    LocalSearch,
    PredictorSearcher,
    RandomSearcher,
    RegularizedEvolution,
    SearchSpace,
)

SEARCHERS = [RandomSearcher, RegularizedEvolution, LocalSearch, PredictorSearcher, Controller]
DECISIONS = [("first", 4), ("second", 3), ("third", 1), ("fourth", 5), ("fifth", 4)]
every_searcher = pytest.mark.parametrize("searcher", SEARCHERS)


def reward(choices):
    """Greatest at (3, 2, 0, 0, 1)."""
    first, second, _, fourth, fifth = choices.values()
    return first + 2 * second - fourth - abs(fifth - 1)


def search(searcher, trials, reward=reward):
    """Asks and tells; what was asked for."""
    asked = []
    for trial in trials:
        choices = searcher.ask(f"trial {trial}")
        searcher.tell(f"trial {trial}", reward(choices))
        asked.append(tuple(choices.values()))
    return asked


@every_searcher
def test_asking_and_telling_twice_changes_nothing(searcher):
    one, other = searcher(DECISIONS, seed=1), searcher(DECISIONS, seed=1)
    for trial in range(40):
        choices = one.ask(str(trial))
        assert one.ask(str(trial)) == choices == other.ask(str(trial))
        assert list(choices) == [name for name, _ in DECISIONS]
        one.tell(str(trial), reward(choices))
        one.tell(str(trial), -99.0)
        other.tell(str(trial), reward(choices))
        assert one.ask("0") == other.ask("0")


@every_searcher
def test_resumed_is_as_uninterrupted(searcher):
    """At 20 seeds, at another moment each, with trials that have not been told."""
    for seed in range(20):
        whole, broken = searcher(DECISIONS, seed=seed), searcher(DECISIONS, seed=seed)
        for one in (whole, broken):
            search(one, range(13 + seed))
            one.ask("late")
        resumed = searcher(DECISIONS, seed=99)
        search(resumed, range(5))
        resumed.set_state(json.loads(json.dumps(broken.get_state())))
        for one in (whole, resumed):
            one.tell("late", 2.5)
        assert search(resumed, range(50, 75)) == search(whole, range(50, 75))
        assert resumed.get_state() == whole.get_state()


@every_searcher
def test_a_seed_is_a_course(searcher):
    courses = [search(searcher(DECISIONS, seed=seed), range(40)) for seed in (1, 1, 2)]
    assert courses[0] == courses[1] != courses[2]


@every_searcher
@pytest.mark.parametrize("scale, shift", [(1e-3, 0.0), (1.0, -8.0), (64.0, 1024.0)])
def test_rewards_count_by_their_order(searcher, scale, shift):
    course = search(searcher(DECISIONS, seed=3), range(60))
    scaled = search(searcher(DECISIONS, seed=3), range(60), lambda c: scale * reward(c) + shift)
    assert scaled == course


@every_searcher
def test_nothing_is_repeated_while_anything_is_new(searcher):
    everything = math.prod(count for _, count in DECISIONS)
    one = searcher(DECISIONS, seed=4)
    assert len(set(search(one, range(everything)))) == everything
    assert len(search(one, range(everything, everything + 3))) == 3, "then they are"


@every_searcher
def test_same_networks_are_not_repeated(searcher):
    space = SearchSpace(1, ["identity", "conv_1x1"], ["add"])
    one = searcher(space, seed=5)
    # Of 2 states and 2 operations there are 4 edges, 10 unordered pairs, 2 cells.
    course = search(one, range(100), lambda choices: sum(choices.values()))
    assert len({space.canonical(choices) for choices in course}) == 100


@every_searcher
def test_failures_are_lived_with(searcher):
    failures = [None, math.nan, math.inf, -math.inf, None]
    one = searcher(DECISIONS, seed=6)
    for trial, told in enumerate(failures):
        one.ask(str(trial))
        one.tell(str(trial), told)
    assert one.best is None
    search(one, range(50), lambda c: math.nan if c["first"] == 2 else reward(c))
    assert one.best["first"] != 2
    assert reward(one.best) == max(value for value in one.rewards.values() if value is not None)
    if searcher is Controller:
        assert np.isfinite(one.policy.weights).all()
    json.dumps(one.get_state(), allow_nan=False)


@every_searcher
def test_told_late_in_any_order_and_from_elsewhere(searcher):
    one = searcher(DECISIONS, seed=7)
    asked = {str(trial): one.ask(str(trial)) for trial in range(30)}
    assert len({tuple(choices.values()) for choices in asked.values()}) == 30
    for trial in reversed(asked):
        one.tell(trial, reward(asked[trial]))
    one.tell("elsewhere", 99.0, {"fifth": 1, "first": 3, "second": 2, "third": 0, "fourth": 0})
    assert list(one.best.values()) == [3, 2, 0, 0, 1]
    assert (3, 2, 0, 0, 1) not in search(one, range(30, 60))
    with pytest.raises(ValueError, match="'nobody' was not asked for"):
        one.tell("nobody", 1.0)
    with pytest.raises(ValueError, match="fourth: wanted an integer from 0 to 4, got 5"):
        one.tell("wrong", 1.0, [0, 0, 0, 5, 0])
    with pytest.raises(ValueError, match="missing or unknown are fifth, sixth"):
        one.tell("wrong", 1.0, {"first": 0, "second": 0, "third": 0, "fourth": 0, "sixth": 0})
    assert "wrong" not in one.choices


@every_searcher
def test_bad_arguments_and_states_are_refused(searcher):
    with pytest.raises(ValueError, match="one or more with unique names"):
        searcher([])
    with pytest.raises(ValueError, match="first: wanted at least 1 choice, got 0"):
        searcher([("first", 0)])
    with pytest.raises(ValueError, match="not the state of"):
        searcher(DECISIONS).set_state(searcher(DECISIONS[1:]).get_state())


@pytest.mark.parametrize("searcher", SEARCHERS[1:])
def test_searching_is_better_than_chance(searcher):
    """Of 8^6 choices, with decisions that depend on each other: the mean of ten seeds."""
    decisions = [(str(place), 8) for place in range(6)]

    def ridge(choices):
        values = list(choices.values())
        return -sum(abs(one - other) for one, other in zip(values, [5, *values], strict=False))

    def best(make):
        found = [make(decisions, seed=seed) for seed in range(10)]
        for one in found:
            search(one, range(150), ridge)
        return np.mean([ridge(one.best) for one in found])

    assert best(searcher) > best(RandomSearcher) + 1


def test_published_settings_are_settings_of_the_controller():
    course = search(Controller(DECISIONS, seed=8, **PUBLISHED), range(50))
    assert len(set(course)) == 50


@pytest.mark.parametrize(
    "searcher, options, message",
    [
        (Controller, {"learning_rate": 0}, "learning_rate: wanted > 0, got 0"),
        (Controller, {"num_starts": 1}, "num_starts: wanted an integer of at least 2, got 1"),
        (Controller, {"baseline_decay": 1}, "baseline_decay"),
        (Controller, {"entropy_weight": -1}, "entropy_weight"),
        (PredictorSearcher, {"num_candidates": 0}, "num_candidates: wanted"),
        (RegularizedEvolution, {"sample_size": 0}, "sample_size: wanted"),
        (LocalSearch, {"num_starts": 1.5}, "num_starts: wanted an integer of at least 1, got 1.5"),
    ],
)
def test_bad_settings_are_named(searcher, options, message):
    with pytest.raises(ValueError, match=message):
        searcher(DECISIONS, **options)
