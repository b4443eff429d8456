"""What every searcher promises, the space they search, and the controller's network."""

import json
import math
from itertools import product

import keras
import numpy as np
import pytest
from support.networks import random_genotype

from keras_nasnet.cells.catalog import NASNET_A
from keras_nasnet.cells.genotype import COMBINERS
from keras_nasnet.cells.operation import OPERATIONS
from keras_nasnet.search import (
    PUBLISHED,
    Controller,
    LocalSearch,
    PredictorSearcher,
    RandomSearcher,
    RegularizedEvolution,
    SearchSpace,
)
from keras_nasnet.search.searchers.policy import NUM_UNITS, Policy
from keras_nasnet.search.searchers.predictor import (
    DECAYS,
    NOISES,
    GaussianProcess,
    likeliest,
    normal_scores,
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
    with pytest.raises(ValueError, match="one or more with different names"):
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


def test_the_space_is_the_papers():
    space = SearchSpace()
    assert len(space) == 50
    assert space[:5] == (
        ("normal_block_0_left_source", 2),
        ("normal_block_0_right_source", 2),
        ("normal_block_0_left_op", 13),
        ("normal_block_0_right_op", 13),
        ("normal_block_0_combine", 2),
    )
    assert space[45] == ("reduction_block_4_left_source", 6)
    assert SearchSpace(2, ["identity"], ["add"])[:5][2:] == (
        ("normal_block_0_left_op", 1),
        ("normal_block_0_right_op", 1),
        ("normal_block_0_combine", 1),
    )


def test_choices_and_genotypes_are_each_others():
    space = SearchSpace(combiners=list(COMBINERS))
    rng = np.random.default_rng(0)
    for _ in range(200):
        choices = [int(rng.integers(count)) for _, count in space]
        genotype = space.decode(choices)
        assert list(space.encode(genotype).values()) == choices
    for seed in range(50):
        genotype = random_genotype(seed)
        size = len(genotype.normal.blocks)
        if len(genotype.reduction.blocks) == size:
            space = SearchSpace(size, list(OPERATIONS), list(COMBINERS))
            decoded = space.decode(space.encode(genotype))
            assert decoded.normal.blocks == genotype.normal.blocks


def test_what_is_not_in_the_space_is_said():
    with pytest.raises(ValueError, match=r"normal cell: its output \(1, 2, 3, 4, 5, 6\) is not"):
        SearchSpace().encode(NASNET_A)
    with pytest.raises(ValueError, match="normal cell: wanted 4 blocks, got 5"):
        SearchSpace(4).encode(NASNET_A)
    with pytest.raises(ValueError, match="operations: wanted one or more different of identity"):
        SearchSpace(operations=["identity", "identity"])
    with pytest.raises(ValueError, match="got conv_9x9"):
        SearchSpace(operations=["conv_9x9"])
    with pytest.raises(ValueError, match="num_blocks: wanted an integer of at least 1, got 0"):
        SearchSpace(0)


def test_same_networks_have_one_canonical_form():
    """Blocks in another order, edges the other way round; found by trying every order."""
    space = SearchSpace(4, ["identity", "conv_1x1"], ["add"])
    rng = np.random.default_rng(1)
    for _ in range(100):
        choices = [int(rng.integers(count)) for _, count in space]
        canonical = space.canonical(choices)
        assert space.canonical(canonical) == canonical
        space.decode(canonical)
        assert space.canonical(_disguised(choices, rng)) == canonical


def _disguised(choices, rng):
    """The same network: a random order of blocks in which sources come first, sides swapped."""
    disguised = []
    for half in (choices[: len(choices) // 2], choices[len(choices) // 2 :]):
        blocks = [half[start : start + 5] for start in range(0, len(half), 5)]
        place, left = {0: 0, 1: 1}, list(range(len(blocks)))
        while left:
            ready = [b for b in left if blocks[b][0] in place and blocks[b][1] in place]
            block = int(rng.choice(ready))
            left.remove(block)
            one, other, one_op, other_op, combine = blocks[block]
            edges = [(place[one], one_op), (place[other], other_op)]
            (one, one_op), (other, other_op) = (edges[i] for i in rng.permutation(2))
            disguised += [one, other, one_op, other_op, combine]
            place[2 + block] = len(place)
    return disguised


def test_different_networks_have_different_forms():
    """All of one block, and the count of unordered pairs of edges."""
    space = SearchSpace(1, ["identity", "conv_1x1", "conv_3x3"], ["add", "concat"])
    forms = {space.canonical(c) for c in np.ndindex(*(count for _, count in space))}
    assert len(forms) == (6 * 7 // 2 * 2) ** 2
    # Two alike blocks: who reads which of them tells two networks apart.
    space = SearchSpace(4, ["identity"], ["add"])
    one = np.array([[0] * 5, [0] * 5, [2, 2, 0, 0, 0], [2, 2, 0, 0, 0], *[[0] * 5] * 4])
    other = one.copy()
    other[3, :2] = 3
    assert space.canonical(one.ravel()) != space.canonical(other.ravel())


@pytest.mark.every_backend
def test_the_policy_is_keras_lstm():
    counts = [3, 1, 4]
    rng = np.random.default_rng(2)
    policy = Policy(counts, rng)
    policy.weights[:] = rng.normal(0, 0.3, policy.weights.shape)
    choices = np.array([[2, 0, 1], [0, 0, 3]])
    weights = policy.named(policy.weights)
    tokens = np.stack([[0, 0], 1 + choices[:, 0], 4 + choices[:, 1]], 1)
    lstm = keras.layers.LSTM(NUM_UNITS, return_sequences=True)
    lstm.build((None, None, NUM_UNITS))
    lstm.set_weights([weights[name] for name in ("kernel", "recurrent_kernel", "bias")])
    hidden = keras.ops.convert_to_numpy(lstm(weights["embedding"][tokens]))
    logits = hidden @ weights["head"]
    logs, _ = policy.log_probabilities(choices)
    for decision, choice_slice in enumerate(policy.choice_slices):
        part = logits[:, decision, choice_slice]
        wanted = part[[0, 1], choices[:, decision]] - np.log(np.exp(part).sum(1))
        np.testing.assert_allclose(logs[:, decision], wanted, atol=1e-5)


def test_the_gradient_is_that_of_differences():
    rng = np.random.default_rng(3)
    policy = Policy([3, 1, 4, 2], rng, "float64")
    policy.weights[:] = rng.normal(0, 0.3, policy.weights.shape)
    choices = np.array([[2, 0, 1, 0], [0, 0, 3, 1], [2, 0, 3, 1]])
    factors = rng.normal(size=choices.shape)

    def loss():
        logs, (*_, probabilities, _) = policy.log_probabilities(choices)
        entropies = -probabilities * np.log(probabilities)
        return (factors * logs).sum() + 0.7 * entropies.sum()

    gradient = policy.gradient(policy.log_probabilities(choices)[1], factors, 0.7)
    for index in rng.choice(len(gradient), 300):
        before = policy.weights[index]
        policy.weights[index] = before + 1e-6
        above = loss()
        policy.weights[index] = before - 1e-6
        difference = (above - loss()) / 2e-6
        policy.weights[index] = before
        assert gradient[index] == pytest.approx(difference, abs=1e-7)


def test_samples_have_the_probabilities_they_are_given():
    rng = np.random.default_rng(4)
    policy = Policy([3, 2], rng)
    policy.weights[:] = rng.normal(0, 1, policy.weights.shape)
    samples = policy.sample(rng, 20_000)
    logs, _ = policy.log_probabilities(samples)
    for choices in np.ndindex(3, 2):
        share = (samples == choices).all(1)
        if share.any():
            probability = np.exp(logs[share][0].sum())
            spread = np.sqrt(probability * (1 - probability) / len(samples))
            assert abs(share.mean() - probability) < 5 * spread


def test_the_predictor_is_scikit_learns_gaussian_process():
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF

    rng = np.random.default_rng(5)
    counts = [3, 4, 2]
    choices = rng.integers(counts, size=(40, 3))
    scores = rng.normal(size=40)
    others = rng.integers(counts, size=(20, 3))
    model = GaussianProcess(choices[:30], 4, 2.0, 0.1)
    for added in choices[30:]:
        model.add(added)

    def one_hot(choices):
        # Squared distances are twice the number of decisions that differ.
        return np.concatenate(
            [np.eye(n)[column] for n, column in zip(counts, choices.T, strict=True)], 1
        )

    # exp(-2 d / 3) = exp(-2 d / (2 length^2))
    theirs = GaussianProcessRegressor(RBF(np.sqrt(3 / 2)), alpha=0.1, optimizer=None)
    theirs.fit(one_hot(choices), scores)
    mean, deviation = theirs.predict(one_hot(others), return_std=True)
    ours_mean, ours_deviation = model(others, scores)
    np.testing.assert_allclose(ours_mean, mean, atol=1e-9)
    np.testing.assert_allclose(ours_deviation, deviation, atol=1e-9)

    def log_likelihood(settings):
        decay, noise = settings
        kernel = RBF(np.sqrt(3 / (2 * decay)))
        return (
            GaussianProcessRegressor(kernel, alpha=noise, optimizer=None)
            .fit(one_hot(choices), scores)
            .log_marginal_likelihood_value_
        )

    assert likeliest(choices, scores, 4) == max(product(DECAYS, NOISES), key=log_likelihood)


def test_normal_scores_are_ranks():
    scores = normal_scores([3.0, None, 5.0, 3.0])
    assert scores[1] < scores[0] == scores[3] < scores[2]
    assert [-scores[1], scores[2]] == pytest.approx([0.8416] * 2, abs=1e-4)
