"""Weight files under attack: mutated, killed while downloading, downloaded by many at once.

Prints how many of each were refused, loaded or left incomplete:

    python benchmarks/weight_files.py --mutations 1000 --kills 100 --processes 8

Files of every format with damaged headers and bodies; and one of them by number:

    python benchmarks/weight_files.py --fuzz 5000 --processes 2
    python benchmarks/weight_files.py --fuzz-only 29 --processes 1
"""

import argparse
import hashlib
import random
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from fuzzing import fuzz

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support import hostile_files
from support.attempt import attempt, write_files
from support.downloads import fetch_at_once, kill_downloads
from support.mutation import MUTATIONS, mutate


def mutations(folder: Path, count: int) -> None:
    """Damaged files of a network, loaded with and without their hash."""
    rng = random.Random(0)
    model, files = write_files(folder)
    hashes = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    for path in files:
        results = attempt(model, path, hashes[path])
        print(f"{path.name}, {path.stat().st_size:,} bytes, unchanged: {results}")
    outcomes = {hashed: Counter() for hashed in (True, False)}
    for i in range(count):
        path, kind = files[i % 2], MUTATIONS[i // 2 % len(MUTATIONS)]
        damaged = folder / f"damaged_{path.name}"
        mutate(path, damaged, kind, rng)
        for hashed, counter in outcomes.items():
            result = attempt(model, damaged, hashes[path] if hashed else None)
            counter[result if hashed else f"{kind} {result}"] += 1
    print(f"{count} mutations, hash known:", dict(outcomes[True]))
    print(f"{count} mutations, no hash:", dict(sorted(outcomes[False].items())))


def hostile(folder: Path) -> None:
    """The cost of each hostile file, in its own process."""
    for name, write in hostile_files.CASES.items():
        path = write(folder)
        command = [sys.executable, hostile_files.__file__, str(path)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=600)
        row = result.stdout.strip() or f"exited with {result.returncode}"
        print(f"{name}, {path.stat().st_size:,} bytes: {row}", flush=True)
        path.unlink()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutations", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--hostile", action="store_true", help="only hostile files")
    parser.add_argument("--fuzz", type=int, help="only this many damaged files of every format")
    parser.add_argument(
        "--fuzz-only", type=int, nargs="+", help="only the files with these numbers"
    )
    options = parser.parse_args()
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.fuzz or options.fuzz_only:
            fuzz(folder, options.fuzz_only or range(options.fuzz), options.processes)
            return
        if options.hostile:
            hostile(folder)
            return
        print(f"{options.kills} kills:", dict(kill_downloads(folder / "k", options.kills, rng)))
        right, transfers = fetch_at_once(folder / "p", options.processes, rng)
        print(f"{options.processes} processes at once: {right} right, {transfers:.2f} transfers")
        hostile(folder)
        mutations(folder, options.mutations)


if __name__ == "__main__":
    main()
