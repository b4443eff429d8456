"""The fastest way to run a model on this machine, found with the commands that measure and export.

They run in processes of their own, so that the server is left with the runtime alone, without Keras
and the model in it.
"""

import json
import math
import os
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_nasnet.inference.benchmark import FUSED, KERAS, routes

PRECISIONS = ("float32", "bfloat16", "float16")  # int8 needs images: it has to be exported before
SECONDS = 1.0  # for each runtime and batch size


def runtimes(precision: str) -> list[str]:
    """The installed runtimes with this precision; `"fused"` first."""
    found = [route for route in routes(with_data=False) if route.runtime != KERAS]
    return [route.runtime for route in found if route.precision == precision]


def fastest(model: Sequence[str], precision: str, max_batch: int) -> tuple[str, str]:
    """Measures the installed runtimes.

    Args:
        model: arguments of the commands that name the model.
        precision: str.
        max_batch: int; one image and so many at once count alike.

    Returns:
        The name of the fastest runtime, and its images per second for people.

    Raises:
        ValueError: if none runs.
    """
    candidates = runtimes(precision)
    if candidates == [FUSED]:
        return FUSED, "nothing else is installed"
    sizes = sorted({1, max_batch})
    command = [*model, "--json", "--seconds", str(SECONDS), "--batch-sizes", *map(str, sizes)]
    output = _run("benchmark", *command, "--runtimes", *candidates, check=False)
    speeds: dict[str, dict[int, float]] = defaultdict(dict)
    for row in _rows(output):
        if "failure" not in row and row["precision"] == precision:
            speeds[row["runtime"]][row["batch"]] = row["images_per_s"]
    if not speeds:
        raise ValueError(f"no runtime runs the model in {precision}: see keras-nasnet benchmark")
    best = max(speeds, key=lambda name: math.prod(speeds[name].values()))
    figures = (f"{speed:.0f} images/s at batch {size}" for size, speed in speeds[best].items())
    return best, ", ".join(figures)


def export(model: Sequence[str], path: Path, runtime: str, precision: str) -> None:
    """Exports a model, with its features if it has them.

    Raises:
        ValueError: if it cannot be exported.
    """
    command = [*model, str(path), "--format", runtime, "--precision", precision]
    try:
        _run("export", *command, "--features")
    except ValueError as error:
        if not str(error).startswith("features:"):
            raise
        _run("export", *command)


def _run(*arguments: str, check: bool = True) -> str:
    """What a command of this package prints; its progress is shown."""
    process = subprocess.Popen(
        [sys.executable, "-m", "keras_nasnet", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if check else None,
        text=True,
        process_group=0,
    )
    try:
        output, errors = process.communicate()
    except BaseException:  # Ctrl-C and SIGTERM: the processes that it started end too
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    if check and process.returncode:
        reason = errors.strip().rpartition("\n")[2].removeprefix("keras-nasnet: ")
        raise ValueError(reason or f"{arguments[0]}: exit status {process.returncode}")
    return output


def _rows(output: str) -> list[dict[str, Any]]:
    try:
        return list(json.loads(output))
    except ValueError:
        return []
