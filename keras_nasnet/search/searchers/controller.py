"""The paper's controller, a policy trained with proximal policy optimization."""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_nasnet.check import check_integers, is_number, shown
from keras_nasnet.search.searchers.policy import Policy
from keras_nasnet.search.searchers.predictor import Predictor, normal_scores
from keras_nasnet.search.searchers.searcher import Canonical, Searcher
from keras_nasnet.search.space import Choices, Decision

ADAM_DECAYS, ADAM_EPSILON = (0.9, 0.999), 1e-8  # Kingma and Ba 2015

PUBLISHED = {
    "learning_rate": 0.00035,
    "entropy_weight": 1e-5,
    "num_replayed": 0,
    "num_candidates": 1,
    "num_mutants": 0,
    "num_starts": 0,
}
"""The settings of Zoph et al. 2018, appendix A, for tens of thousands of trials."""


class Controller(Searcher):
    """An LSTM that makes the decisions, trained on the rewards by PPO.

    `Controller(decisions, **PUBLISHED)` is the paper's, which hardly learns within a few hundred
    trials. By default it takes larger steps, replays the best trials at each of them, keeps more
    entropy, and picks from its samples and the neighbours of the best trials what a `Predictor`
    ranks first; `benchmarks/results/search.md` shows what each of these gains.

    Args:
        decisions, seed, canonical: as in `Searcher`.
        learning_rate: float > 0, of Adam. Default 0.02; 0.00035 in the paper.
        batch_size: int >= 1, trials told between updates. Default 20, as in the paper.
        num_epochs: int >= 1, steps at each update. Default 1; our choice.
        clip: float > 0, relative change of a probability allowed in an update. Default 0.2.
        entropy_weight: float >= 0. Default 0.1; 1e-5 in the paper.
        baseline_decay: float in [0, 1), of the moving average of rewards told. Default
            0.95, as in the paper.
        num_replayed: int >= 0, best trials that each update replays. Default 10.
        num_candidates: int >= 1, samples that a `Predictor` chooses from; 1 for no predictor.
            Default 20.
        num_mutants: int >= 0, further candidates for it: best trials with one to three decisions
            redrawn. Default 150.
        num_starts: int >= 0, initial random trials, at least 2 with a predictor. Default 20.

    Raises:
        ValueError: as `Searcher`, or if a value is out of range.

    Reference:
        Zoph et al. 2018, section 3.1 and appendix A; Schulman et al. 2017, arXiv:1707.06347,
        equation 7.
    """

    def __init__(
        self,
        decisions: Sequence[Decision],
        seed: int | None = None,
        *,
        canonical: Canonical | None = None,
        learning_rate: float = 0.02,
        batch_size: int = 20,
        num_epochs: int = 1,
        clip: float = 0.2,
        entropy_weight: float = 0.1,
        baseline_decay: float = 0.95,
        num_replayed: int = 10,
        num_candidates: int = 20,
        num_mutants: int = 150,
        num_starts: int = 20,
    ) -> None:
        super().__init__(decisions, seed, canonical=canonical)
        check_integers(1, batch_size=batch_size, num_epochs=num_epochs)
        check_integers(1, num_candidates=num_candidates)
        check_integers(0, num_replayed=num_replayed, num_mutants=num_mutants)
        check_integers(2 if num_candidates > 1 else 0, num_starts=num_starts)
        for name, value in (("learning_rate", learning_rate), ("clip", clip)):
            if not is_number(value) or value <= 0:
                raise ValueError(f"{name}: wanted > 0, got {shown(value)}")
        if not is_number(entropy_weight) or entropy_weight < 0:
            raise ValueError(f"entropy_weight: wanted >= 0, got {shown(entropy_weight)}")
        if not is_number(baseline_decay) or not 0 <= baseline_decay < 1:
            raise ValueError(f"baseline_decay: wanted [0, 1), got {shown(baseline_decay)}")
        self.learning_rate, self.batch_size, self.num_epochs = learning_rate, batch_size, num_epochs
        self.clip, self.entropy_weight = clip, entropy_weight
        self.baseline_decay, self.num_replayed = baseline_decay, num_replayed
        self.num_candidates, self.num_mutants = num_candidates, num_mutants
        self.num_starts = num_starts

        self.policy = Policy(self.counts, self.rng)
        self._moments = np.zeros((2, *self.policy.weights.shape), "float32")  # of Adam
        self._num_steps = 0
        self._baseline = 0.0
        self._num_learned = 0  # trials told before the last update
        self._samples: dict[Choices, None] = {}  # of the current policy, not tried yet
        # Log-probabilities of trials asked for before the last update, not told yet.
        self._asked: dict[str, list[float]] = {}
        self._predictor = Predictor(self)

    def _propose(self) -> Choices:
        if len(self.rewards) < self.num_starts:
            return self._random()
        if not self._samples:
            samples = self.policy.sample(self.rng, max(self.batch_size, self.num_candidates))
            self._samples = dict.fromkeys(map(tuple, samples.tolist()))
        candidates = np.array(list(self._samples), "int16")
        if self.num_candidates > 1:
            near = self._predictor.near_best(self.num_mutants)
            candidates = self._predictor.best_first(np.concatenate([candidates, near]))
        return self._first_new(candidates)

    def _take(self, trial_id: str, choices: Choices) -> None:
        super()._take(trial_id, choices)
        self._samples.pop(choices, None)

    def _learn(self) -> None:
        if len(self.rewards) - self._num_learned >= self.batch_size:
            self._update()
            self._samples.clear()

    def _update(self) -> None:
        """Updates the policy on the trials told since the last update and the best ones."""
        told = list(self.rewards)
        scores = dict(zip(told, normal_scores(self.rewards.values()).tolist(), strict=True))
        batch = told[self._num_learned :]
        learned = batch + self._best_first()[: self.num_replayed]
        known = {*told, *self._asked}
        untold = [trial for trial in self.choices if trial not in known]
        choices = np.array([self.choices[trial] for trial in learned + untold])
        advantages = np.zeros((len(choices), 1))
        advantages[: len(learned), 0] = [scores[trial] - self._baseline for trial in learned]
        for epoch in range(self.num_epochs):
            logs, run = self.policy.log_probabilities(choices)
            if not epoch:
                # The weights are still those with which the trials since the last update were
                # asked for; replayed trials count as if they had been sampled now.
                asked = logs.copy()
                for row, trial in enumerate(batch):
                    asked[row] = self._asked.pop(trial, asked[row])
                self._asked |= zip(untold, logs[len(learned) :].tolist(), strict=True)
            ratios = np.exp(logs - asked)
            over = np.where(advantages > 0, 1, -1) * (ratios - 1) > self.clip
            log_gradient = np.where(over, 0, -advantages * ratios) / len(choices)
            self._step(
                self.policy.gradient(
                    run, log_gradient.astype("float32"), -self.entropy_weight / len(choices)
                )
            )
        for trial in batch:
            self._baseline += (1 - self.baseline_decay) * (scores[trial] - self._baseline)
        self._num_learned = len(told)

    def _step(self, gradient: np.ndarray) -> None:
        """One step of Adam."""
        self._num_steps += 1
        estimates = []
        for moment, power, decay in zip(self._moments, (1, 2), ADAM_DECAYS, strict=True):
            moment += (1 - decay) * (gradient**power - moment)
            estimates.append(moment / (1 - decay**self._num_steps))
        mean, square = estimates
        self.policy.weights -= self.learning_rate * mean / (np.sqrt(square) + ADAM_EPSILON)

    def get_state(self) -> dict[str, Any]:
        return super().get_state() | {
            "weights": _to_text(self.policy.weights),
            "moments": _to_text(self._moments),
            "num_steps": self._num_steps,
            "baseline": self._baseline,
            "num_learned": self._num_learned,
            "samples": [list(choices) for choices in self._samples],
            "asked": dict(self._asked),
        }

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        self.policy.weights[:] = _from_text(state["weights"])
        self._moments[:] = _from_text(state["moments"]).reshape(self._moments.shape)
        self._num_steps, self._baseline = state["num_steps"], state["baseline"]
        self._num_learned = state["num_learned"]
        self._samples = dict.fromkeys(map(tuple, state["samples"]))
        self._asked = dict(state["asked"])
        self._predictor = Predictor(self)


def _to_text(array: np.ndarray) -> str:
    return base64.b64encode(array.astype("<f4").tobytes()).decode()


def _from_text(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), "<f4")
