"""The page that shows a search."""

import re
from html.parser import HTMLParser

import numpy as np
from support.networks import random_genotype

from keras_nasnet.search import RandomSearcher, SearchSpace
from keras_nasnet.search import report as report_module
from keras_nasnet.search.report import REPORT, expected_best, write_report


def rows(count):
    return [
        {
            "trial": f"{number:02}",
            "status": "FAILED" if number % 5 == 4 else "COMPLETED",
            "reward": None if number % 5 == 4 else number / 100,
            "seconds": 60.0,
            "parameters": 1000 + number,
            "mult_adds": 5000,
            "genotype": random_genotype(number).to_json(),
            "message": "",
        }
        for number in range(count)
    ]


def test_the_page_holds_all_it_shows(tmp_path):
    folder = tmp_path / "a <search>"
    folder.mkdir()
    searcher = RandomSearcher(SearchSpace())
    write_report(folder, rows(25), [{"trial": "07", "reward": 0.07, "longer": 0.9}], searcher)
    page = (folder / REPORT).read_text()
    HTMLParser().feed(page)
    assert "a &lt;search&gt;" in page
    assert "25 trials by RandomSearcher over 50 decisions, 0.42 hours of training; 5 failed" in page
    assert "the best reward is 0.2300" in page
    assert "<tr><td>07</td><td>0.0700</td><td>0.9000</td></tr>" in page
    page = page.partition("Leaderboard")[2]
    leaders = re.findall(r"<tr><td>(\d\d)</td><td>0\.\d{4}</td>", page)
    assert leaders == [f"{n:02}" for n in range(24, -1, -1) if n % 5 != 4]
    page = (folder / REPORT).read_text()
    sources = re.findall(r'(?:src|href)="([^"]{0,30})', page)
    assert len(sources) == 6
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    for name in ("progress", "parameters", "operations", "cells_1", "cells_2", "cells_3"):
        assert (folder / "pictures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (folder / "pictures" / f"{name}.svg").stat().st_size > 0


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
    write_report(tmp_path, ended[::-1], [], RandomSearcher(SearchSpace()))
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
    write_report(tmp_path, failed, [], RandomSearcher(SearchSpace()))
    assert "3 failed; none succeeded" in (tmp_path / REPORT).read_text()


def test_the_expectation_is_that_of_random_search():
    rewards = [0.2, 0.4, 0.6]
    draws = np.random.default_rng(0).normal(0.4, 0.2, (20_000, 30))
    simulated = np.maximum.accumulate(draws, 1).mean(0)
    np.testing.assert_allclose(expected_best(rewards, 30), simulated, atol=0.01)
