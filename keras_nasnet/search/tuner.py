"""Cell search as a keras-tuner tuner."""

from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import keras
import keras_tuner
from keras_tuner.engine.trial import Trial
from rich.table import Table

from keras_nasnet.cells.catalog import network_of
from keras_nasnet.cells.config import MAX_FILTERS, MAX_INPUT_SIZE, MIN_INPUT_SIZE, NASNetConfig
from keras_nasnet.cells.genotype import Genotype
from keras_nasnet.cells.layout import output_width
from keras_nasnet.check import check_integers, check_member, check_size
from keras_nasnet.lock import FolderLock, locked
from keras_nasnet.search import SEARCHERS
from keras_nasnet.search.child import HELD_OUT_SHARE, Child, inspect_data, model_of
from keras_nasnet.search.finalists import train_best, train_longer
from keras_nasnet.search.oracle import SearcherOracle
from keras_nasnet.search.private import WholeTuner
from keras_nasnet.search.progress import SearchProgress, score_text
from keras_nasnet.search.record import SearchRecord
from keras_nasnet.search.report import SIZES
from keras_nasnet.search.report_rungs import pareto
from keras_nasnet.search.rungs import Rungs
from keras_nasnet.search.scale import Scale
from keras_nasnet.search.searchers import Searcher
from keras_nasnet.search.space import SearchSpace
from keras_nasnet.search.trials import RunTrial, Work, attempts_on, run_trials
from keras_nasnet.tensor import Size
from keras_nasnet.terminal import console
from keras_nasnet.training.job import Job
from keras_nasnet.training.recipes import Recipe, recipe

LONGER = 5  # times the epochs of a trial, for finalists by default


class NASNetTuner(WholeTuner):
    """Searches for the cells of a NASNet.

    Each trial trains a child, a small network of the cells to be tried, by a recipe and outside of
    this process; its run folder is the trial's. `trials.csv` lists all trials that have ended,
    `best.json` is the genotype of the best, `report.html` is the report, and the folder of a
    trial that failed has an `error.txt`. To continue a search that was stopped or killed, make the
    same tuner and call `search` again: it goes on in the middle of the child. The folder is locked
    during the search, see `keras_nasnet.lock.locked`.

    Under TensorFlow on CPUs a trial's reward depends on its cells, the seed and the number of
    threads, not on the trials before it or on which worker trains it. Workers share the cores, and
    with fewer threads sums are taken in another order: the same cells get another reward.

    A subclass may override `run_trial(trial, ...)` and return a float; `search` then needs no data.
    It is called where children train, on a copy of the tuner, which has to be picklable.

    Args:
        space: `SearchSpace`; the paper's by default.
        searcher: a key of `SEARCHERS`, default `"controller"`, or a `Searcher` of the space.
        max_trials, max_seconds: as in `SearcherOracle`.
        objective: as in `SearcherOracle`. Default `"val_accuracy"`, which the trials here report:
            that of the best epoch, on a tenth of the training images.
        num_cells: int from 1 to 1,000, normal cells in each of a child's three stages. Default 2.
        filters: int from 1 to 100,000, of a child's first stage. Default 32.
        recipe: `Recipe`; `"search-child"` by default.
        rungs: int from 1 to 10, default 1. With more, a child trains for a part of the recipe's
            epochs only, and goes on where it stopped while it is among the best; see `Rungs`.
        factor: int >= 2, default 3, children of a rung for one that goes on; also how many times
            as long it is trained then.
        size: `(height, width)` of the children's images. Default 32 x 32.
        directory, project_name: of the folder of the search. Default `"./nasnet_search"`.
        overwrite: bool, default False. Whether to delete an existing search and begin anew.
        seed: int, default 0, of the searcher, the split of the data and the children.

    Attributes:
        plan: dict of `Plan.to_dict`, None (default) without a plan. With one, or with rungs,
            children are validated at the end of each rung only.

    Raises:
        ValueError: if an argument is out of range, or the existing search has other settings.
        FolderInUseError: if another process searches there.

    Reference:
        Zoph et al. 2018, sections 3.1 and 4, appendix A.
    """

    def __init__(
        self,
        space: SearchSpace | None = None,
        searcher: str | Searcher = "controller",
        *,
        max_trials: int | None = None,
        max_seconds: float | None = None,
        objective: str | keras_tuner.Objective = "val_accuracy",
        num_cells: int = 2,
        filters: int = 32,
        recipe: Recipe = recipe("search-child"),  # noqa: B008  immutable
        rungs: int = 1,
        factor: int = 3,
        size: Size = (32, 32),
        directory: str | Path | None = None,
        project_name: str = "nasnet_search",
        overwrite: bool = False,
        seed: int = 0,
    ) -> None:
        self.space = space or SearchSpace()
        if isinstance(searcher, str):
            check_member("searcher", searcher, SEARCHERS)
            searcher = SEARCHERS[searcher](self.space, seed)
        if objective == "val_accuracy":
            objective = keras_tuner.Objective(objective, "max")
        check_integers(1, MAX_FILTERS, filters=filters)
        self.num_cells, self.filters, self.recipe = num_cells, filters, recipe
        self.size = check_size(size, MIN_INPUT_SIZE["cifar"], MAX_INPUT_SIZE)
        self.rungs, self.seed = Rungs.of(recipe.epochs, rungs, factor), seed
        self.child_config(self.space.decode([0] * len(self.space)))  # a mistake is an error now
        self.plan: dict[str, Any] | None = None
        self._progress: SearchProgress | None = None
        self._record = SearchRecord(self)
        oracle = SearcherOracle(
            searcher,
            objective,
            max_trials,
            max_seconds,
            rungs=self.rungs,
            ended=self._trial_ended,
        )
        oracle.verbose = 0
        self._lock: FolderLock | None = None
        with locked(Path(directory or ".") / project_name):
            pass  # no other process searches there
        super().__init__(oracle, None, directory, project_name, overwrite)
        self.save()  # without this file keras-tuner does not continue a search

    def child_config(self, genotype: Genotype) -> NASNetConfig:
        """The network used to try a genotype."""
        return network_of(
            genotype,
            "cifar",
            num_cells=self.num_cells,
            penultimate_filters=4 * self.filters * output_width(genotype.normal),
        )

    child = child_config  # the name in 0.1

    def genotype(self, trial: Trial) -> Genotype:
        """The cells of a trial."""
        return self.space.decode(trial.hyperparameters.values)

    def search(
        self,
        data: str | None = None,
        *,
        num_workers: int | None = None,
        executor: Executor | None = None,
        **arguments: Any,
    ) -> None:
        """Runs trials until a limit is reached.

        A trial whose process or node dies is begun again, and its child goes on from its last
        checkpoint; when that happens to a trial for the fourth time, it has failed.

        Args:
            data: str, as in `keras_nasnet.data.open_data`. Its validation images are not used.
                Images that cannot be decoded are left out, and logged when a search begins.
            num_workers: int from 1 to 1,024, how many trials run at once. By default one or, with
                an executor, as many as that has processes.
            executor: `concurrent.futures.Executor` to run the trials, such as Dask's
                `client.get_executor(pure=False)`. By default processes of this machine, which
                share its cores or have a GPU each. The data have to be where it runs them. Where
                the search's folder is not, log and best model of each child are sent back, and
                one that is promoted to the next rung trains from the start.
            arguments: for a `run_trial` of a subclass.

        Raises:
            ValueError: if `num_workers` is out of range, or the executor does not tell how many
                processes it has; or with rungs and an overridden `run_trial`.
            FolderInUseError: if another process searches there, or has taken over the search.
            ExecutorError: if the executor cannot run trials any more. To go on, search again.
        """
        if data is not None:
            arguments["data"] = data
        is_ours = type(self).run_trial is NASNetTuner.run_trial
        if not is_ours and len(self.rungs) > 1:
            raise ValueError(f"rungs: 1 with a run_trial of one's own, got {len(self.rungs)}")

        def work_of(trial: Trial) -> Work:
            return (
                self.child_of(trial, **arguments) if is_ours else RunTrial(self, trial, arguments)
            )

        with (
            locked(Path(self.project_dir)) as lock,
            attempts_on(executor, num_workers, self.oracle.lose, lock.check) as attempts,
        ):
            self.reload()  # another process may have continued it
            self._record.rows.clear()
            if is_ours and data is not None and not self.oracle.trials:
                inspect_data(data, HELD_OUT_SHARE, self.seed, self.size)
            try:
                with SearchProgress(self.oracle) as self._progress:
                    self._lock = lock
                    run_trials(self, attempts, work_of)
            finally:
                self._progress = self._lock = None
                lock.check()
                self._record.write()
            if is_ours and self.oracle.rung_rewards:
                model_of(Path(self.get_trial_dir(self.oracle.get_best_trials()[0].trial_id)))

    def child_of(self, trial: Trial, data: str | None = None) -> Child:
        """What an attempt at a trial does, wherever it runs."""
        if data is None:
            raise ValueError("data: required, names the images to train on")
        if Path(data).exists():
            data = str(Path(data).absolute())
        job = Job(self.child_config(self.genotype(trial)), self.recipe, data, self.size, self.seed)
        rung = min(self.oracle.rung_of(trial.trial_id), len(self.rungs) - 1)
        return Child(
            job,
            HELD_OUT_SHARE,
            self.oracle.objective.name,
            self.rungs.epochs[rung],
            each_epoch=len(self.rungs) == 1 and self.plan is None,
        )

    def run_trial(self, trial: Trial, data: str) -> float:
        child = self.child_of(trial, data)
        return child(Path(self.get_trial_dir(trial.trial_id))).metrics[child.metric]

    def on_trial_end(self, trial: Trial) -> None:
        if self._lock is not None:
            self._lock.check()
        super().on_trial_end(trial)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy for another process has: nothing that writes the search's files."""
        return self.__dict__ | {"_record": None, "_progress": None, "_lock": None}

    def train_finalists(
        self,
        data: str,
        count: int,
        epochs: int | None = None,
        *,
        num_workers: int | None = None,
        executor: Executor | None = None,
    ) -> list[Genotype]:
        """Trains the cells of the best trials again, from scratch and longer, and ranks them.

        `finalists.csv` lists them, and `best.json` then holds the best of them. Those that have
        been trained for so many epochs are not trained again.

        Args:
            data, num_workers, executor: as for `search`.
            count: int >= 1; 250 in the paper.
            epochs: int >= 1, five times those of a trial by default.

        Returns:
            Genotypes, best first.

        Raises:
            ValueError: if a number is out of range, or no trial has succeeded.
            FolderInUseError: if another process searches there.
            ChildFailedError: if a finalist fails.
            ExecutorError: as from `search`.

        Reference:
            Zoph et al. 2018, section 4.
        """
        epochs = LONGER * self.recipe.epochs if epochs is None else epochs
        check_integers(1, count=count, epochs=epochs)
        trials = [t for t in self.oracle.get_best_trials(count) if t.score is not None]
        if not trials:
            raise ValueError("no trial has succeeded, so there are no finalists")
        with (
            locked(Path(self.project_dir)) as lock,
            attempts_on(executor, num_workers, self.oracle.lose, lock.check) as attempts,
        ):
            rows = train_longer(self, trials, data, epochs, attempts)
            self._record.write_finalists(rows)
        return [self.genotype(self.oracle.trials[row["trial"]]) for row in rows]

    def train_best(
        self,
        data: str,
        scale: Scale,
        *,
        num_workers: int | None = None,
        executor: Executor | None = None,
    ) -> float:
        """Trains a network of the best cell; its run folder is `best`.

        Args:
            data, num_workers, executor: as for `search`.
            scale: `Scale` of the network, whose training is that of children otherwise.

        Returns:
            The best validation accuracy of any epoch.

        Raises:
            ValueError: if no trial has succeeded.
            FolderInUseError: if another process searches there.
            ChildFailedError: if it fails.
            ExecutorError: as from `search`.
        """
        if not self.oracle.rung_rewards:
            raise ValueError("no trial has succeeded, so there is no best cell")
        with (
            locked(Path(self.project_dir)) as lock,
            attempts_on(executor, num_workers, self.oracle.lose, lock.check) as attempts,
        ):
            return train_best(self, data, scale, attempts)

    def _trial_ended(self, trial: Trial) -> None:
        """Called for each trial, in the process that holds the oracle."""
        self._record.trial_ended(trial)
        if self._progress is not None:
            self._progress.ended(trial, self._record.size_of(trial)["parameters"])

    def get_best_genotypes(self, num_trials: int = 1) -> list[Genotype]:
        """The cells of the best trials, the best first."""
        return [self.genotype(trial) for trial in self.oracle.get_best_trials(num_trials)]

    def load_model(self, trial: Trial) -> keras.Model:
        """The trained child of a trial, from its best epoch."""
        return keras.saving.load_model(model_of(Path(self.get_trial_dir(trial.trial_id))))

    def results_summary(self, num_trials: int = 10) -> None:
        """Prints the best trials, the size of their children and of the networks meant for them.

        On the Pareto front are those of which no other is better with fewer multiply-adds.
        """
        network = self.space.limits.model
        columns = ("trial", self.oracle.objective.name, "epochs", "parameters", "multiply-adds")
        table = Table(*columns, f"multiply-adds as {network}", "on the Pareto front")
        rows = self._record.ended_rows()
        front = [row["trial"] for row in pareto(rows)]
        by_trial = {row["trial"]: row for row in rows}
        for trial in self.oracle.get_best_trials(num_trials):
            if row := by_trial.get(trial.trial_id):
                mark = "yes" if trial.trial_id in front else ""
                texts = (f"{row[name]:,}" for name in ("epochs", *SIZES))
                table.add_row(trial.trial_id, score_text(trial.score), *texts, mark)
        console.print(table)

    def get_state(self) -> dict[str, Any]:
        return {
            "space": [list(decision) for decision in self.space],
            "num_cells": self.num_cells,
            "filters": self.filters,
            "size": list(self.size),
            "seed": self.seed,
            "recipe": str(self.recipe),
            "rungs": list(self.rungs.epochs[:-1]) or None,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        mine = self.get_state()
        for name in mine:
            if state.get(name) != mine[name]:
                raise ValueError(
                    f"{name}: the search in {self.project_dir} has {state.get(name)}, got "
                    f"{mine[name]}; name another folder or pass overwrite=True"
                )
