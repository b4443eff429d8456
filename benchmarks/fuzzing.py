"""Loads damaged weight files of every format in processes with limits on memory and time.

A file depends only on its number, so it can be recreated: `weight_files.py --fuzz`.
"""

import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.attempt import (
    attempt,
    attempt_model,
    peak_mib,
    reset_peak_mib,
    small_network,
    write_files,
)
from support.damage import FILES, FORMATS, damage, write_small_files

NEEDS = {"checkpoint": "tensorflow", "pickle": "torch", "old_pickle": "torch"}
ADDRESS_SPACE_BYTES = 4 << 30  # on top of what the process has when it starts to load
OVER_MEMORY_MIB = 512  # twice the smallest limit for a packed file
OVER_TIME_S = 20  # CPU time
COLUMNS = ("loaded", "refused", "partial", "crash", "over time", "over memory")


def work(folder: Path, numbers) -> None:
    """Loads the files with these numbers and prints one line of JSON for each."""
    import keras

    keras.utils.set_random_seed(0)
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
    """Loads the files with these numbers in processes that are restarted where they die.

    Args:
        folder: to write to.
        numbers: list of int; formats whose library is not installed are skipped.
        processes: int, how many in parallel.

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
    """Rows of one process, until it finishes or dies at a file."""
    (folder / "numbers.json").write_text(json.dumps(numbers))
    process = subprocess.Popen(
        [sys.executable, __file__, str(folder)],
        stdout=subprocess.PIPE,
        stderr=(folder / "errors.txt").open("a"),
    )
    rows: list[dict] = []
    row: dict = {}
    limit_s = 600  # for building the networks
    while True:
        ready, _, _ = select.select([process.stdout], [], [], limit_s)
        line = process.stdout.readline() if ready else b""
        if not line:
            break
        row |= json.loads(line)
        limit_s = 10 * OVER_TIME_S  # wall time: others may use the machine
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
