"""What a search writes beside keras-tuner's files: tables, the best cells, a report."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from keras_tuner.engine.trial import Trial

from keras_nasnet.atomic import replace_text
from keras_nasnet.search.limits import size_of
from keras_nasnet.search.progress import reason_of
from keras_nasnet.search.report import Row, write_report
from keras_nasnet.training.log import read_rows, write_rows

if TYPE_CHECKING:
    from keras_nasnet.search.tuner import NASNetTuner

TRIALS, BEST, FINALISTS = "trials.csv", "best.json", "finalists.csv"
ERROR = "error.txt"  # in a failed trial's folder
REPORTING = 0.03  # largest share of a search's time spent on its report


class SearchRecord:
    """Writes `trials.csv`, `best.json`, `finalists.csv`, `report.html` and the trials' `error.txt`.

    Args:
        tuner: `NASNetTuner`, in the process that holds its oracle.

    Attributes:
        rows: dict of dict, the rows of `trials.csv` by trial.
    """

    def __init__(self, tuner: "NASNetTuner") -> None:
        self.tuner = tuner
        self.rows: dict[str, Row] = {}
        self._next_report = 0.0

    def trial_ended(self, trial: Trial) -> None:
        """Writes what a trial adds; the report only as often as its time allows."""
        self.rows.pop(trial.trial_id, None)  # of an earlier rung
        if trial.message:
            replace_text(Path(self.tuner.get_trial_dir(trial.trial_id)) / ERROR, trial.message)
        self.write(with_report=time.monotonic() >= self._next_report)

    def write(self, with_report: bool = True) -> None:
        """Writes the table of trials, the best cells and the report; nothing without trials."""
        folder, oracle = Path(self.tuner.project_dir), self.tuner.oracle
        rows = self.ended_rows()
        if not rows:
            return
        write_rows(folder / TRIALS, rows)
        finalists = self._finalists()
        leader = finalists[0]["trial"] if finalists else oracle.get_best_trials(1)[0].trial_id
        best = oracle.trials[leader]
        if best.score is not None:
            replace_text(folder / BEST, self.tuner.genotype(best).to_json())
        if with_report:
            begin = time.monotonic()
            write_report(
                folder, rows, finalists, oracle.searcher, self.tuner.rungs, self.tuner.plan
            )
            end = time.monotonic()
            self._next_report = end + (end - begin) / REPORTING

    def ended_rows(self) -> list[Row]:
        """The rows of `trials.csv`."""
        oracle = self.tuner.oracle
        for trial_id in oracle.end_order:
            if trial_id not in self.rows:
                self.rows[trial_id] = self._row(oracle.trials[trial_id])
        return [self.rows[trial_id] for trial_id in oracle.end_order]

    def write_finalists(self, rows: list[Row]) -> None:
        """Writes the table of finalists, the best first, and what follows from it."""
        write_rows(Path(self.tuner.project_dir) / FINALISTS, rows)
        self.write()

    def _finalists(self) -> list[Row]:
        """Rows of `finalists.csv`, the best first."""
        path = Path(self.tuner.project_dir) / FINALISTS
        rows = read_rows(path) if path.exists() else []
        return [row | {key: float(row[key]) for key in ("reward", "longer")} for row in rows]

    def _row(self, trial: Trial) -> Row:
        oracle = self.tuner.oracle
        return {
            "trial": trial.trial_id,
            "status": trial.status,
            "reward": trial.score,
            "epochs": self._epochs(trial),
            "rewards": oracle.rung_rewards.get(trial.trial_id, []),
            "seconds": sum(oracle.rung_seconds.get(trial.trial_id, ())),
            "steps_s": oracle.steps_s.get(trial.trial_id),
            **self.size_of(trial),
            **self.network_size_of(trial),
            "genotype": json.dumps(self.tuner.genotype(trial).to_dict()),
            "message": reason_of(trial.message or ""),
        }

    def _epochs(self, trial: Trial) -> int:
        """How far a trial's child was trained."""
        ended = self.tuner.oracle.rung_of(trial.trial_id)
        return self.tuner.rungs.epochs[ended - 1] if ended else 0

    def size_of(self, trial: Trial) -> dict[str, int]:
        """Parameters and multiply-adds of a trial's child."""
        return size_of(self.tuner.child_config(self.tuner.genotype(trial)), self.tuner.size)

    def network_size_of(self, trial: Trial) -> dict[str, int]:
        """Parameters and multiply-adds of the network that a trial's cells are meant for."""
        size = self.tuner.space.limits.size_of(self.tuner.genotype(trial))
        return {f"network_{name}": count for name, count in size.items()}
