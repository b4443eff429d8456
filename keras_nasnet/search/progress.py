"""The progress display of a search."""

from statistics import mean
from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from keras_nasnet.terminal import console

if TYPE_CHECKING:
    from keras_tuner.engine.trial import Trial

    from keras_nasnet.search.oracle import SearcherOracle

RECENT = 20  # trials in the moving mean
COLUMNS = ("trial", "reward", "best", f"mean of {RECENT}", "parameters", "seconds", "time left")
WIDTH = 11


class SearchProgress:
    """Shows one row per ended trial above a progress bar.

    Args:
        oracle: `SearcherOracle`.
    """

    def __init__(self, oracle: "SearcherOracle") -> None:
        self.oracle = oracle
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
        )
        self._bar = Progress(*columns, console=console, disable=not console.is_terminal)

    def __enter__(self) -> Self:
        console.print("".join(f"{name:>{WIDTH}}" for name in COLUMNS), style="bold")
        self._task = self._bar.add_task("", total=1.0)
        self._advance()
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def ended(self, trial: "Trial", parameters: int) -> None:
        """Adds the row of an ended trial, whose child has `parameters` parameters."""
        oracle = self.oracle
        scores = [oracle.trials[key].score for key in oracle.end_order]
        recent = [score for score in scores[-RECENT:] if score is not None]
        best = oracle.get_best_trials(1)[0].score
        cells = (
            trial.trial_id,
            score_text(trial.score),
            score_text(best),
            score_text(mean(recent) if recent else None),
            f"{parameters:,}",
            f"{oracle.rung_seconds[trial.trial_id][-1]:,.0f}",
            _duration(self._time_left()),
        )
        row = "".join(f"{cell:>{WIDTH}}" for cell in cells)
        if trial.message:
            row += f"  {reason_of(trial.message)}"
        console.print(row, highlight=False, markup=False, soft_wrap=True)
        self._advance()

    def _advance(self) -> None:
        oracle = self.oracle
        ended = len(oracle.end_order)
        shares = [ended / oracle.max_trials if oracle.max_trials else 0]
        shares.append(oracle.seconds / oracle.max_seconds if oracle.max_seconds else 0)
        total = f" of {oracle.max_trials}" if oracle.max_trials else ""
        self._bar.update(
            self._task, completed=max(shares), description=f"{ended}{total} trials done"
        )

    def _time_left(self) -> float:
        """Seconds until the first limit is reached, at the pace so far."""
        oracle = self.oracle
        left = []
        if oracle.max_trials:
            ended = len(oracle.end_order)
            left.append((oracle.max_trials - ended) * oracle.seconds / ended)
        if oracle.max_seconds:
            left.append(oracle.max_seconds - oracle.seconds)
        return max(0.0, min(left))


def score_text(score: float | None) -> str:
    return "failed" if score is None else f"{score:.4f}"


def reason_of(message: str) -> str:
    """The essence of a trial's message: the line of its traceback that names the exception."""
    lines = message.rpartition("Traceback (most recent call last):\n")[2].splitlines()
    return next((line for line in lines if line.strip() and not line.startswith(" ")), "")


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
