"""The page that shows a search."""

import re
from html.parser import HTMLParser

import numpy as np
from support.networks import random_genotype

from keras_nasnet.search import RandomSearcher, SearchSpace
from keras_nasnet.search import report as report_module
from keras_nasnet.search.report import REPORT, expected_best, write_report
from keras_nasnet.search.report_rungs import pareto
from keras_nasnet.search.rungs import Rungs
from keras_nasnet.training.log import write_rows

RUNGS = Rungs((1, 9))
PLAN = {"num_cells": [30, 10], "search_s": 900.0}
FINALISTS = [{"trial": "07", "reward": 0.07, "longer": 0.9}]
EPOCHS, RUNGS_ENDED = (1, 1, 9, 9, 0), (1, 1, 2, 2, 0)  # by number: of five the last fails


def rows(count):
    return [
        {
            "trial": f"{number:02}",
            "status": "FAILED" if number % 5 == 4 else "COMPLETED",
            "reward": None if number % 5 == 4 else number / 100,
            "epochs": EPOCHS[number % 5],
            "rewards": [number / 100] * RUNGS_ENDED[number % 5],
            "seconds": 60.0,
            "steps_s": 45.0,
            "parameters": 1000 + number,
            "mult_adds": 5000,
            "network_mult_adds": 10**8 + number,
            "genotype": random_genotype(number).to_json(),
            "message": "",
        }
        for number in range(count)
    ]


def test_the_page_holds_all_it_shows(tmp_path):
    folder = tmp_path / "a <search>"
    folder.mkdir()
    for row in rows(25):
        trial = folder / f"trial_{row['trial']}"
        trial.mkdir()
        log = [{"epoch": epoch, "val_accuracy": 0.1 * epoch} for epoch in range(row["epochs"])]
        if log:
            write_rows(trial / "log.csv", log)
    searcher = RandomSearcher(SearchSpace())
    write_report(folder, rows(25), FINALISTS, searcher, RUNGS, PLAN)
    page = (folder / REPORT).read_text()
    HTMLParser().feed(page)
    assert "a &lt;search&gt;" in page
    assert "25 trials by RandomSearcher over 50 decisions, 0.42 hours of training; 5 failed" in page
    assert "the best reward is 0.2300" in page
    assert "<tr><td>07</td><td>0.0700</td><td>0.9000</td></tr>" in page
    page = page.partition("Leaderboard")[2]
    leaders = re.findall(r"<tr><td>(\d\d)</td><td>0\.\d{4}</td>", page)
    further = [f"{n:02}" for n in range(24, -1, -1) if EPOCHS[n % 5] == 9]
    assert leaders == further + [f"{n:02}" for n in range(24, -1, -1) if EPOCHS[n % 5] == 1]
    page = (folder / REPORT).read_text()
    sources = re.findall(r'(?:src|href)="([^"]{0,30})', page)
    assert len(sources) == 7
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    for name in ("progress", "curves", "costs", "operations", "cells_1", "cells_2", "cells_3"):
        assert (folder / "pictures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (folder / "pictures" / f"{name}.svg").stat().st_size > 0


def test_rungs_time_and_plan_are_told(tmp_path):
    trials = rows(25)
    (tmp_path / "trial_00").mkdir()
    write_rows(tmp_path / "trial_00" / "log.csv", [{"epoch": 0, "val_accuracy": 0.1}])
    write_report(tmp_path, trials, [], RandomSearcher(SearchSpace()), RUNGS, PLAN)
    page = (tmp_path / REPORT).read_text()
    assert cells_of(page, "planned") == [
        ["1", "1", "30", "20", "10", "0.0200", "0.2100"],
        ["2", "9", "10", "10", "", "", ""],
    ]
    dropped = cells_of(page, "dropped at epoch")
    assert dropped[0] == ["21", "1", "0.2100", "3 of 20"]
    assert len(dropped) == 10
    assert cells_of(page, "minutes")[0] == ["training steps", "18.8", "75%"]
    assert "Planned were 15.0 minutes of search." in page


def cells_of(page, column):
    """The cells of the first table that has a column."""
    rest = page.partition(f">{column}</th>")[2].partition("</table>")[0]
    rows = re.findall(r"<tr>(<td>.*?)</tr>", rest, re.DOTALL)
    return [re.findall(r"<td>(.*?)</td>", row) for row in rows]


def test_the_pareto_front_is_of_the_trials_that_got_furthest():
    trials = [
        {"trial": name, "reward": reward, "epochs": epochs, "network_mult_adds": cost}
        for name, reward, epochs, cost in (
            ("dropped", 0.9, 1, 1),
            ("cheap", 0.3, 9, 2),
            ("worse", 0.2, 9, 3),
            ("equal", 0.3, 9, 4),
            ("best", 0.5, 9, 5),
            ("failed", None, 0, 1),
        )
    ]
    assert [row["trial"] for row in pareto(trials)] == ["cheap", "best"]
    assert pareto(trials[-1:]) == []


def test_charts_and_tables_count_trials_by_their_names(tmp_path, monkeypatch):
    """From 0, also where workers end trials in another order and some have not ended."""
    drawn = {}

    def keeping(name, draw):
        def keep(figure, *arguments):
            drawn[name] = figure
            draw(figure, *arguments)

        monkeypatch.setattr(report_module, name, keep)

    for name in ("_draw_progress", "_draw_operations"):
        keeping(name, getattr(report_module, name))
    ended = [row for row in rows(12) if row["trial"] != "05"]
    write_report(tmp_path, ended[::-1], [], RandomSearcher(SearchSpace()), RUNGS)
    numbers = [n for n in range(12) if n != 5]
    points, best, *_ = drawn["_draw_progress"].axes[0].lines
    assert list(points.get_xdata()) == list(best.get_xdata()) == numbers
    assert points.get_ydata()[-1] == 0.11
    for axes in drawn["_draw_operations"].axes:
        assert axes.get_xlim() == (0, 11)
        [low, *_], high = axes.collections[0].get_paths()[0].get_extents().get_points()
        assert (low, high[0]) == (0, 11)


def test_a_search_in_which_all_failed_has_a_page(tmp_path):
    failed = [row | {"reward": None, "status": "FAILED"} for row in rows(3)]
    write_report(tmp_path, failed, [], RandomSearcher(SearchSpace()), RUNGS)
    assert "3 failed; none succeeded" in (tmp_path / REPORT).read_text()


def test_the_expectation_is_that_of_random_search():
    rewards = [0.2, 0.4, 0.6]
    draws = np.random.default_rng(0).normal(0.4, 0.2, (20_000, 30))
    simulated = np.maximum.accumulate(draws, 1).mean(0)
    np.testing.assert_allclose(expected_best(rewards, 30), simulated, atol=0.01)
