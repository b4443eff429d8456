"""The base class of searchers, and the simplest one: random search."""

import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from keras_nasnet.check import shown
from keras_nasnet.search.space import Choices, Decision, checked

Canonical: TypeAlias = Callable[[Choices], Choices]
Allows: TypeAlias = Callable[[Choices], bool]
Features: TypeAlias = Callable[[np.ndarray], np.ndarray]

ATTEMPTS = 50  # proposals, before falling back to counting up to new choices
MOST_DRAWN = 10_000  # random choices, before none of them is taken to be allowed


class Searcher(ABC):
    """Finds good choices by trial: `ask` for some, `tell` their reward.

    Any number of `ask` calls may come before a `tell`, and `tell` in any order, late or never.
    Only the order of rewards counts: scaling or shifting them changes nothing. Choices are not
    repeated while new ones are left, and are within the limits of a `SearchSpace` that has some.

    Args:
        decisions: sequence of `(name, number of choices)`, such as a `SearchSpace`.
        seed: int or None (default) for a random one.
        canonical: function from a tuple of choices to a representative of all with the same
            meaning. Default: that of a `SearchSpace`, else the choices themselves.

    Attributes:
        num_starts: int, number of initial random trials.
        features: function from an int array `(candidates, decisions)` to a float array
            `(candidates, features)`, by whose distance predictors take choices to be alike: that
            of a `SearchSpace`, else which decisions differ.

    Raises:
        ValueError: if there are no decisions, a name occurs twice, or a number is below 1.
    """

    num_starts = 0

    def __init__(
        self,
        decisions: Sequence[Decision],
        seed: int | None = None,
        *,
        canonical: Canonical | None = None,
    ) -> None:
        self.decisions = tuple((str(name), int(count)) for name, count in decisions)
        names = {name for name, _ in self.decisions}
        if not names or len(names) < len(self.decisions):
            raise ValueError(
                f"decisions: wanted one or more with unique names, got {shown(decisions)}"
            )
        for name, count in self.decisions:
            if count < 1:
                raise ValueError(f"{name}: wanted at least 1 choice, got {count}")
        self.counts = np.array([count for _, count in self.decisions])
        self.canonical: Canonical
        self.canonical = canonical or getattr(decisions, "canonical", None) or tuple
        self.allows: Allows = getattr(decisions, "allows", lambda choices: True)
        self.features: Features = getattr(decisions, "features", self._one_hot)
        self.rng = np.random.default_rng(seed)
        self.choices: dict[str, Choices] = {}
        self.rewards: dict[str, float | None] = {}  # in the order told; None is a failure
        self._taken: set[Choices] = set()
        self._is_exhausted = False

    @abstractmethod
    def _propose(self) -> Choices:
        """Choices to try next, possibly tried before."""

    def _learn(self) -> None:  # noqa: B027  learns nothing by default
        """Learns from the last trial told."""

    def ask(self, trial_id: str) -> dict[str, int]:
        """Choices for a trial, the same for repeated calls.

        Args:
            trial_id: str.

        Returns:
            An index per decision, by name, in the order of the decisions.
        """
        if trial_id not in self.choices:
            self._take(trial_id, self._new())
        return self._named(self.choices[trial_id])

    def tell(
        self,
        trial_id: str,
        reward: float | None,
        choices: Mapping[str, int] | Sequence[int] | None = None,
    ) -> None:
        """Sets the reward of a trial; once set, it does not change.

        Args:
            trial_id: str.
            reward: float, higher is better; None, NaN or infinity for a failed trial.
            choices: for a trial that was not asked for here.

        Raises:
            ValueError: if the trial is unknown and no choices are given, or they are invalid.
        """
        if trial_id not in self.choices:
            if choices is None:
                raise ValueError(
                    f"trial {shown(trial_id)} was not asked for; tell its choices with its reward"
                )
            self._take(trial_id, checked(self.decisions, choices))
        if trial_id in self.rewards:
            return
        self.rewards[trial_id] = (
            float(reward) if reward is not None and math.isfinite(reward) else None
        )
        self._learn()

    @property
    def best(self) -> dict[str, int] | None:
        """The choices with the highest reward so far; None if there is none."""
        best = self._best_first()[:1]
        if not best or self.rewards[best[0]] is None:
            return None
        return self._named(self.choices[best[0]])

    def get_state(self) -> dict[str, Any]:
        """Everything that `set_state` needs to resume, as plain data for JSON."""
        return {
            "searcher": type(self).__name__,
            "decisions": [list(decision) for decision in self.decisions],
            "rng": self.rng.bit_generator.state,
            "choices": {key: list(value) for key, value in self.choices.items()},
            "rewards": dict(self.rewards),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Resumes from the state of a searcher of this kind.

        Raises:
            ValueError: if the state is from another kind of searcher or other decisions.
        """
        mine = (type(self).__name__, [list(decision) for decision in self.decisions])
        if not isinstance(state, dict) or (state.get("searcher"), state.get("decisions")) != mine:
            raise ValueError("not the state of a searcher of this kind with these decisions")
        self.rng.bit_generator.state = state["rng"]
        self.choices = {key: tuple(value) for key, value in state["choices"].items()}
        self.rewards = dict(state["rewards"])
        self._taken = {self.canonical(choices) for choices in self.choices.values()}
        self._is_exhausted = False

    def _one_hot(self, choices: np.ndarray) -> np.ndarray:
        """Features of which the squared distance is the share of decisions that differ."""
        one_hot = choices[..., None] == np.arange(self.counts.max())
        return one_hot.reshape(len(choices), -1) / math.sqrt(2 * len(self.counts))

    def _named(self, choices: Choices) -> dict[str, int]:
        return {name: index for (name, _), index in zip(self.decisions, choices, strict=True)}

    def _take(self, trial_id: str, choices: Choices) -> None:
        self.choices[trial_id] = choices
        self._taken.add(self.canonical(choices))

    def _is_new(self, choices: Choices) -> bool:
        return self.canonical(choices) not in self._taken and self.allows(choices)

    def _new(self) -> Choices:
        """Proposed choices or, if all are taken, the next free ones counting up."""
        choices = self._propose()
        for _ in range(ATTEMPTS):
            if self._is_exhausted or self._is_new(choices):
                return choices
            choices = self._propose()
        for following in self._counting_up(choices):
            if self._is_new(following):
                return following
        self._is_exhausted = True
        return choices

    def _counting_up(self, choices: Choices) -> Iterator[Choices]:
        """All choices, counting up from the given ones and wrapping around."""
        values = list(choices)
        while True:
            for place, count in enumerate(self.counts.tolist()):
                values[place] = (values[place] + 1) % count
                if values[place]:
                    break
            yield tuple(values)
            if tuple(values) == choices:
                return

    def _first_new(self, candidates: Iterable[Sequence[int]]) -> Choices:
        """The first new choices among some, or random ones."""
        for candidate in candidates:
            choices = tuple(int(value) for value in candidate)
            if self._is_new(choices):
                return choices
        return self._random()

    def _best_first(self) -> list[str]:
        """The trials told, ranked; failures are the worst, of equal ones the first is better."""

        def reward(trial_id: str) -> float:
            value = self.rewards[trial_id]
            return -math.inf if value is None else value

        return sorted(self.rewards, key=reward, reverse=True)

    def _random(self) -> Choices:
        for _ in range(MOST_DRAWN):
            choices = tuple(self.rng.integers(self.counts).tolist())
            if self.allows(choices):
                return choices
        raise ValueError(f"limits: too low, none of {MOST_DRAWN:,} random cells is within them")

    def _mutated(self, choices: Choices) -> Choices:
        """The choices with a random decision changed, among those with more than one choice."""
        free = np.flatnonzero(self.counts > 1)
        values = list(choices)
        if len(free):
            place = int(self.rng.choice(free))
            shift = int(self.rng.integers(1, self.counts[place]))
            values[place] = (values[place] + shift) % int(self.counts[place])
        return tuple(values)


class RandomSearcher(Searcher):
    """Uniformly random choices without repetition."""

    num_starts = sys.maxsize

    def _propose(self) -> Choices:
        return self._random()
