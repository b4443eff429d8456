"""Asynchronous successive halving (Li et al. 2018): the best children of a rung train on."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from keras_nasnet.check import check_integers, shown

MAX_RUNGS = 10


@dataclass(frozen=True, slots=True)
class Rungs:
    """How far children train, and which of them train on.

    A child trains to the first rung. Of those that have ended a rung the best `1 / factor` go on to
    the next one; the others are dropped. No child waits for another, so some go on that would not
    if all were known. Unlike in the paper, they count: never do more go on, even if later ones are
    better, as those of a searcher that learns are. Otherwise they take the time of new cells.

    Args:
        epochs: tuple of int, epochs from a child's start to the end of each rung, ascending. With
            one rung nothing is dropped.
        factor: int >= 2. Default 3.

    Raises:
        ValueError: if a number is out of range or `epochs` does not ascend.

    Reference:
        Li et al. 2018, arXiv:1810.05934, algorithm 2.
    """

    epochs: tuple[int, ...]
    factor: int = 3

    def __post_init__(self) -> None:
        check_integers(2, factor=self.factor)
        if not self.epochs or list(self.epochs) != sorted({*self.epochs}):
            raise ValueError(
                f"epochs: wanted one or more numbers that ascend, got {shown(self.epochs)}"
            )

    def __len__(self) -> int:
        return len(self.epochs)

    @classmethod
    def of(cls, epochs: int, rungs: int, factor: int = 3) -> "Rungs":
        """Rungs of `epochs`, a `factor`-th of them, and so on down.

        Raises:
            ValueError: if the first would be less than one epoch.
        """
        check_integers(1, MAX_RUNGS, rungs=rungs)
        check_integers(2, factor=factor)
        most = cls.most(epochs, factor)
        if rungs > most:
            raise ValueError(
                f"rungs: {epochs} epochs, divided by {factor} from rung to rung, allow at most "
                f"{most}, got {rungs}"
            )
        return cls(tuple(round(epochs / factor**down) for down in reversed(range(rungs))), factor)

    @staticmethod
    def most(epochs: int, factor: int, limit: int = MAX_RUNGS) -> int:
        """How many rungs `epochs` can have, or `limit` if that is less."""
        return max(rungs for rungs in range(1, limit + 1) if factor ** (rungs - 1) <= epochs)

    def promotable(
        self, rewards: Mapping[str, Sequence[float]], others: Collection[str] = ()
    ) -> str | None:
        """The trial that should go on to its next rung, from the highest rung down.

        Args:
            rewards: a trial's rewards at the end of each rung it has reached, higher is better.
                Of equal ones the first is the better.
            others: trials that cannot go on: they do already, or have failed.

        Returns:
            Its name; None if no trial should.
        """
        for rung in reversed(range(len(self) - 1)):
            ended = [trial for trial, each in rewards.items() if len(each) > rung]
            waiting = [key for key in ended if len(rewards[key]) == rung + 1 and key not in others]
            if len(ended) - len(waiting) < len(ended) // self.factor:
                return max(waiting, key=lambda trial: rewards[trial][rung])
        return None
