"""The search for cells as a tuner of keras-tuner."""

import json
from pathlib import Path
from statistics import mean

import keras
import keras_tuner
from keras_tuner.engine.base_tuner import BaseTuner
from rich.console import Console
from rich.table import Table

from keras_nasnet.atomic import replace_text
from keras_nasnet.catalog import network_of
from keras_nasnet.genotype import Genotype
from keras_nasnet.plan import NASNetConfig, output_width
from keras_nasnet.recipe import Recipe, recipe
from keras_nasnet.report import write_rows
from keras_nasnet.run import MODEL
from keras_nasnet.search import SEARCHERS
from keras_nasnet.search.child import Children
from keras_nasnet.search.oracle import SearcherOracle
from keras_nasnet.search.space import SearchSpace
from keras_nasnet.summary import summarize
from keras_nasnet.train import Job

HELD_OUT = 0.1  # 5,000 of CIFAR-10's 50,000 images, appendix A
RECENT = 20  # trials of a moving mean
TRIALS, BEST = "trials.csv", "best.json"


class NASNetTuner(BaseTuner):
    """Searches for the cells of a NASNet.

    Each trial is a child: a small network of the cells to be tried, trained by a recipe in a
    process of its own; its run folder is the trial's. `trials.csv` lists all that have ended, and
    `best.json` is the genotype of the best. A search that was stopped or killed goes on
    when the same tuner is made and `search` is called again, in the middle of the child.

    A subclass may override `run_trial(trial, ...)` and return a float; `search` then needs no data.

    Args:
        space: `SearchSpace`; the paper's by default.
        searcher: a key of `SEARCHERS`, default `"controller"`, or a `Searcher` of the space.
        max_trials, max_seconds: as in `SearcherOracle`.
        objective: as in `SearcherOracle`. Default `"val_accuracy"`, which is what the trials here
            report: the greatest of an epoch on a tenth of the training images.
        num_cells: int >= 1, normal cells in each of a child's three stages. Default 2.
        filters: int >= 1, of a child's first stage. Default 32.
        recipe: `Recipe`; `"search-child"` by default.
        size: `(height, width)` of the children's images. Default 32 x 32.
        directory, project_name: of the folder that holds the search. Default `"./nasnet_search"`.
        overwrite: bool, default False. Whether a search that is there is deleted, not gone on with.
        seed: int, default 0, of the searcher, the split of the data and the children.

    Raises:
        ValueError: if an argument is out of range, or the search that is there has other settings.

    Reference:
        Zoph et al. 2018, sections 3.1 and 4, appendix A.
    """

    def __init__(
        self,
        space: SearchSpace | None = None,
        searcher="controller",
        *,
        max_trials=None,
        max_seconds=None,
        objective="val_accuracy",
        num_cells=2,
        filters=32,
        recipe: Recipe = recipe("search-child"),  # noqa: B008  of no state
        size=(32, 32),
        directory=None,
        project_name="nasnet_search",
        overwrite=False,
        seed=0,
    ):
        self.space = space or SearchSpace()
        if isinstance(searcher, str):
            if searcher not in SEARCHERS:
                raise ValueError(
                    f"searcher: {searcher!r} is not known; allowed are {', '.join(SEARCHERS)}"
                )
            searcher = SEARCHERS[searcher](self.space, seed)
        if objective == "val_accuracy":
            objective = keras_tuner.Objective(objective, "max")
        self.num_cells, self.filters, self.recipe = num_cells, filters, recipe
        self.size, self.seed = tuple(size), seed
        self.console = Console()
        self._children = Children()
        self.child(self.space.decode([0] * len(self.space)))  # so that mistakes are told now
        oracle = SearcherOracle(searcher, objective, max_trials, max_seconds)
        oracle.verbose = 0
        super().__init__(oracle, None, directory, project_name, overwrite)
        self.save()  # keras-tuner goes on with a search from the first such file on

    def child(self, genotype: Genotype) -> NASNetConfig:
        """The network that a genotype is tried in."""
        return network_of(
            genotype,
            "cifar",
            num_cells=self.num_cells,
            penultimate_filters=4 * self.filters * output_width(genotype.normal),
        )

    def genotype(self, trial) -> Genotype:
        """The cells of a trial."""
        return self.space.decode(trial.hyperparameters.values)

    def search(self, data=None, **arguments):
        """Runs trials until a limit is reached.

        Args:
            data: str, as in `keras_nasnet.data.open_data`. Its validation images are not looked
                at.
            arguments: for a `run_trial` of a subclass.
        """
        if data is not None:
            arguments["data"] = data
        try:
            super().search(**arguments)
        finally:
            self._children.close()

    def run_trial(self, trial, data):
        job = Job(self.child(self.genotype(trial)), self.recipe, data, self.size, self.seed)
        return self._children.train(job, HELD_OUT, Path(self.get_trial_dir(trial.trial_id)))

    def on_trial_end(self, trial):
        super().on_trial_end(trial)
        if not self._is_worker():
            self._write_trials()
            self._say(trial)

    def _write_trials(self):
        """`trials.csv`, every candidate, and `best.json`, the cells of the best."""
        trials = [self.oracle.trials[trial_id] for trial_id in self.oracle.end_order]
        write_rows(
            Path(self.project_dir) / TRIALS,
            [
                {
                    "trial": trial.trial_id,
                    "status": trial.status,
                    "reward": trial.score,
                    "seconds": self.oracle.trial_seconds.get(trial.trial_id),
                    **self._size_of(trial),
                    "genotype": json.dumps(self.genotype(trial).to_dict()),
                    "message": (trial.message or "").strip().rpartition("\n")[2],
                }
                for trial in trials
            ],
        )
        if self.oracle.searcher.best is not None:
            replace_text(Path(self.project_dir) / BEST, self.get_best_genotypes()[0].to_json())

    def _size_of(self, trial) -> dict[str, int]:
        rows = summarize(self.child(self.genotype(trial)), self.size)
        return {
            "parameters": sum(row.params for row in rows),
            "mult_adds": sum(row.mult_adds for row in rows),
        }

    def _say(self, trial):
        oracle = self.oracle
        trial = oracle.get_trial(trial.trial_id)
        scores = [oracle.trials[key].score for key in oracle.end_order]
        recent = [score for score in scores[-RECENT:] if score is not None]
        best = oracle.get_best_trials(1)[0]
        self.console.print(
            f"trial {trial.trial_id}: {_text(trial.score)}, best {_text(best.score)} of trial "
            f"{best.trial_id}, mean of the last {len(recent)} {_text(mean(recent or [0]))}, "
            f"{oracle.seconds:,.0f} s"
        )

    def get_best_genotypes(self, num_trials=1) -> list[Genotype]:
        """The cells of the best trials, the best first."""
        return [self.genotype(trial) for trial in self.oracle.get_best_trials(num_trials)]

    def load_model(self, trial) -> keras.Model:
        """The trained child of a trial, at its best epoch."""
        return keras.saving.load_model(Path(self.get_trial_dir(trial.trial_id)) / MODEL)

    def results_summary(self, num_trials=10):
        """Prints the best trials, with the size of their children."""
        table = Table("trial", self.oracle.objective.name, "parameters", "multiply-adds")
        for trial in self.oracle.get_best_trials(num_trials):
            size = (f"{count:,}" for count in self._size_of(trial).values())
            table.add_row(trial.trial_id, _text(trial.score), *size)
        self.console.print(table)

    def save(self):
        if not self._is_worker():
            self.oracle.save()
        replace_text(Path(self._get_tuner_fname()), json.dumps(self.get_state()))

    def get_state(self):
        return {
            "space": [list(decision) for decision in self.space],
            "num_cells": self.num_cells,
            "filters": self.filters,
            "size": list(self.size),
            "seed": self.seed,
            "recipe": str(self.recipe),
        }

    def set_state(self, state):
        mine = self.get_state()
        for name in mine:
            if state.get(name) != mine[name]:
                raise ValueError(
                    f"{name}: the search in {self.project_dir} has {state.get(name)}, got "
                    f"{mine[name]}; name another folder or pass overwrite=True"
                )


def _text(score) -> str:
    return "failed" if score is None else f"{score:.4f}"
