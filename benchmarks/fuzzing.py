"""Damaged weight files of every format, each loaded in a process with limits on memory and time.

A file follows from its number alone, so that it can be made again: `weight_files.py --fuzz`.
"""

import json
import os
import random
import resource
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.attempt import (
    attempt,
    attempt_model,
    peak_mib,
    reset_peak_mib,
    small_network,
    write_files,
)
from support.mutation import (
    mutate_bytes,
    mutate_hdf5,
    mutate_json,
    mutate_safetensors,
    mutate_table,
    mutate_zip,
)

LIGHT = ("keras3", "archive", "safetensors", "checkpoint", "pickle", "old_pickle")
FORMATS = ("legacy", *LIGHT, "model", *LIGHT)  # in turn; a legacy file is of 1,100 variables
NEEDS = {"checkpoint": "tensorflow", "pickle": "torch", "old_pickle": "torch"}
FILES = {
    "legacy": "legacy.h5",
    "keras3": "ours.weights.h5",
    "archive": "ours.keras",
    "model": "ours.keras",  # loaded as a whole, by `Classifier.load`
    "safetensors": "ours.safetensors",
    "checkpoint": "ours.ckpt.index",
    "pickle": "ours.pth",
    "old_pickle": "old.pth",
}
ADDRESS_SPACE_BYTES = 4 << 30  # beyond what the process has when it starts to load
OVER_MEMORY_MIB = 512  # twice the least that a packed file may come to
OVER_TIME_S = 20  # of the processor
COLUMNS = ("loaded", "refused", "partial", "crash", "over time", "over memory")


def write_small_files(folder: Path, model) -> None:
    """The small network's weights in every format that can be written here."""
    import keras_nasnet
    from keras_nasnet.weights import torch_naming
    from keras_nasnet.weights.formats import slim
    from keras_nasnet.weights.naming import cell_names, names_of
    from keras_nasnet.weights.variable import model_variables

    model.save(folder / FILES["archive"])
    model.save_weights(folder / FILES["keras3"])
    keras_nasnet.save_safetensors(model, folder / FILES["safetensors"])
    variables = model_variables(model)
    values = {path: np.array(variable) for path, variable in variables.items()}
    if find_spec("tensorflow"):
        import tensorflow as tf

        names = names_of(variables, slim.UNITS, slim.WEIGHTS, cell_names(variables, False))
        arrays = {names[path]: tf.constant(value) for path, value in values.items()}
        tf.raw_ops.SaveV2(
            prefix=str(folder / "ours.ckpt"),
            tensor_names=list(arrays),
            shape_and_slices=[""] * len(arrays),
            tensors=list(arrays.values()),
        )
    if find_spec("torch"):
        import torch

        cells = cell_names(variables, False, torch_naming.STAGE_LENGTH)
        names = names_of(variables, torch_naming.UNITS, torch_naming.WEIGHTS, cells)
        state = {names[path]: torch.tensor(_torch_axes(path, values[path])) for path in values}
        torch.save(state, folder / FILES["pickle"])
        torch.save(state, folder / FILES["old_pickle"], _use_new_zipfile_serialization=False)


def _torch_axes(path: str, value: np.ndarray) -> np.ndarray:
    if value.ndim == 4:
        axes = (2, 3, 0, 1) if path.endswith("depthwise_kernel") else (3, 2, 0, 1)
        return np.ascontiguousarray(value.transpose(axes))
    return value.T.copy()


def damage(folder: Path, target: Path, number: int) -> tuple[str, Path]:
    """Writes the file of a number.

    Args:
        folder: of the whole files.
        target: folder to write to.
        number: int.

    Returns:
        Its format and the path to load.
    """
    kind = FORMATS[number % len(FORMATS)]
    rng = random.Random(number)
    data = _whole(folder / FILES[kind])
    path = target / f"{number}_{FILES[kind]}"
    if kind == "checkpoint":
        body = (folder / "ours.ckpt.data-00000-of-00001").read_bytes()
        in_body = rng.random() < 0.15
        body_path = path.with_name(path.name.replace(".index", ".data-00000-of-00001"))
        body_path.write_bytes(mutate_bytes(body, rng) if in_body else body)
        path.write_bytes(data if in_body else mutate_table(data, rng))
        return kind, path
    mutators = {
        "legacy": mutate_hdf5,
        "keras3": mutate_hdf5,
        "safetensors": mutate_safetensors,
        "old_pickle": lambda data, rng: mutate_bytes(data, rng, range(0, 12_000)),
    }
    mutator = mutators.get(kind, lambda data, rng: mutate_zip(data, rng, _mutate_member))
    path.write_bytes(mutator(data, rng))
    return kind, path


@cache
def _whole(path: Path) -> bytes:
    return path.read_bytes()


def _mutate_member(name: str, data: bytes, rng: random.Random) -> bytes:
    if name.endswith(".h5"):
        return mutate_hdf5(data, rng)
    return mutate_json(data, rng) if name.endswith(".json") else mutate_bytes(data, rng)


def work(folder: Path, numbers) -> None:
    """Loads the files of these numbers and prints a line of JSON for each."""
    import keras

    legacy, (path, _) = write_files(folder / "legacy")
    path.replace(folder / FILES["legacy"])
    models = {"legacy": legacy}
    small = small_network()
    write_small_files(folder, small)
    status = Path("/proc/self/status").read_text()
    used = next(int(row.split()[1]) << 10 for row in status.splitlines() if "VmSize" in row)
    resource.setrlimit(resource.RLIMIT_AS, (used + ADDRESS_SPACE_BYTES,) * 2)
    for number in numbers:
        kind, path = damage(folder, folder / "work", number)
        print(json.dumps({"number": number, "format": kind}), flush=True)
        before, start = reset_peak_mib(), time.process_time()
        if kind == "model":
            outcome = attempt_model(path)
            keras.utils.clear_session()
        else:
            outcome = attempt(models.get(kind, small), path, None)
        row = {"outcome": outcome, "s": time.process_time() - start, "mib": peak_mib() - before}
        print(json.dumps(row), flush=True)
        for file in (folder / "work").iterdir():
            file.unlink()


def fuzz(folder: Path, numbers, processes: int = 1) -> list[dict]:
    """Loads the files of these numbers in processes that are started again where they end.

    Args:
        folder: to write to.
        numbers: list of int; those of formats that need a library that is not here are left out.
        processes: int, how many at once.

    Returns:
        A row for each: number, format, outcome, seconds and MiB of memory.
    """
    here = [kind for kind in FORMATS if find_spec(NEEDS.get(kind, "numpy"))]
    here = [number for number in numbers if FORMATS[number % len(FORMATS)] in here]
    rows: list[dict] = []

    def run(process: int) -> None:
        left = here[process::processes]
        own = folder / str(process)
        for name in ("work", "legacy"):
            (own / name).mkdir(parents=True)
        while left:
            done = _run(own, left)
            rows.extend(done)
            left = left[len(done) :]

    with ThreadPoolExecutor(processes) as pool:
        list(pool.map(run, range(processes)))
    _print_table(rows)
    return rows


def _run(folder: Path, numbers) -> list[dict]:
    """Rows of one process, until it is through or ends at a file."""
    (folder / "numbers.json").write_text(json.dumps(numbers))
    process = subprocess.Popen(
        [sys.executable, __file__, str(folder)],
        stdout=subprocess.PIPE,
        stderr=(folder / "errors.txt").open("a"),
    )
    rows: list[dict] = []
    row: dict = {}
    limit_s = 600  # until the networks are built
    while True:
        ready, _, _ = select.select([process.stdout], [], [], limit_s)
        line = process.stdout.readline() if ready else b""
        if not line:
            break
        row |= json.loads(line)
        limit_s = 10 * OVER_TIME_S  # of the clock: others may use the machine
        if "outcome" in row:
            rows.append(_judged(row))
            row = {}
            if len(rows) % 100 == 0:
                print(f"{folder.name}: {len(rows)} of {len(numbers)}", flush=True)
    process.kill()
    status = process.wait()
    if row:
        ended = "over time" if not ready else f"ended by {signal.Signals(-status).name}"
        rows.append(_judged(row | {"outcome": ended, "s": 0.0, "mib": 0.0}))
    elif not rows:
        raise RuntimeError((folder / "errors.txt").read_text()[-2000:])
    return rows


def _judged(row: dict) -> dict:
    outcome = row["outcome"]
    if row["s"] > OVER_TIME_S:
        outcome = "over time"
    elif row["mib"] > OVER_MEMORY_MIB:
        outcome = "over memory"
    if outcome not in COLUMNS:
        outcome = "crash"
    if outcome not in ("loaded", "refused"):
        print("found:", json.dumps(row), flush=True)
    return row | {"judged": outcome}


def _print_table(rows: list[dict]) -> None:
    print(f"{'format':12}{'files':>7}" + "".join(f"{name:>13}" for name in COLUMNS), end="")
    print(f"{'peak MiB':>10}{'most s':>8}{'mean s':>8}")
    for kind in sorted(set(FORMATS)):
        group = [row for row in rows if row["format"] == kind]
        if group:
            counts = Counter(row["judged"] for row in group)
            times = [row["s"] for row in group]
            print(f"{kind:12}{len(group):7}", end="")
            print("".join(f"{counts[name]:13}" for name in COLUMNS), end="")
            peak = max(row["mib"] for row in group)
            print(f"{peak:10.0f}{max(times):8.2f}{sum(times) / len(times):8.3f}", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    arguments = Path(sys.argv[1])
    work(arguments, json.loads((arguments / "numbers.json").read_text()))
