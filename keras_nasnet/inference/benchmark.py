"""Measures a model on this machine in every installed runtime.

Each runtime and precision gets its own process, so that peak memory is measured separately; this
module imports neither Keras nor a backend until then.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from keras_nasnet.inference.formats import FORMATS

if TYPE_CHECKING:
    from keras_nasnet.inference.classifier import Classifier

Row: TypeAlias = dict[str, Any]

KERAS, FUSED = "keras", "fused"
NUM_RANDOM = 16  # images to compare results on, if none are given
MIN_CALLS = 5


@dataclass(frozen=True)
class Route:
    """A way to run a model.

    Args:
        runtime: `"keras"`, the model as it is; `"fused"`, `keras_nasnet.fuse` of it, both run by
            Keras's backend; or a format of `keras_nasnet.export`.
        precision: str, as in `export`.
    """

    runtime: str
    precision: str


def routes(with_data: bool) -> list[Route]:
    """The routes available on this machine.

    Args:
        with_data: bool, whether there are images to quantize with.
    """
    found = [Route(KERAS, "float32"), *(Route(FUSED, p) for p in ("float32", "bfloat16"))]
    if find_spec("tensorflow"):
        for name, module in FORMATS.items():
            if find_spec(module.RUNTIME):
                found += [Route(name, p) for p in module.PRECISIONS if with_data or p != "int8"]
    return found


def benchmark(
    classifier: "Classifier",
    some: Sequence[Route],
    *,
    batch_sizes: Sequence[int] = (1, 16),
    seconds: float = 5.0,
    images: np.ndarray | None = None,
    representative_data: np.ndarray | None = None,
) -> Iterator[tuple[Route, list[Row]]]:
    """Measures routes one after another.

    Args:
        classifier: `keras_nasnet.inference.classifier.Classifier`.
        some: routes from `routes()`.
        batch_sizes: ints.
        seconds: float, how long each batch size runs, with at least 5 calls.
        images: uint8 array `(number, height, width, 3)` from 0 to 255, to compare results on.
            Default: 16 random ones.
        representative_data: uint8 array like `images`, to quantize with; needed for `"int8"`.

    Yields:
        Each route, with a dictionary for each batch size: `runtime`, `precision`, `batch`,
        `images_per_s`, milliseconds per call `p50_ms`, `p90_ms`, `p99_ms`, `peak_mib` of the
        process, `size_mib` on disk, `agreement`, the share of images with the same best class as
        the float32 model, and `difference`, the largest between probabilities; both None
        if the model itself cannot run. A route that cannot run, or whose results differ from
        the model's, has one dictionary: `runtime`, `precision` and `failure`, the reason.
    """
    if images is None:
        shape = (NUM_RANDOM, *classifier.size, 3)
        images = np.random.default_rng(0).integers(0, 256, shape, "uint8")
    expected = None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "images.npy", images)
        for route in (Route(KERAS, "float32"), *(r for r in some if r.runtime != KERAS)):
            try:
                rows, probabilities = _measure(
                    classifier, route, folder, batch_sizes, seconds, representative_data
                )
            except Exception as error:  # of any kind: it affects only this route
                reason = str(error) if isinstance(error, ValueError) else repr(error)
                yield route, [asdict(route) | {"failure": reason}]
                continue
            if route.runtime == KERAS:
                expected = probabilities
            comparison = _compare(probabilities, expected)
            if route in some:
                yield route, [row | comparison for row in rows]


def _compare(probabilities: np.ndarray, expected: np.ndarray | None) -> dict[str, float | None]:
    if expected is None:
        return {"agreement": None, "difference": None}
    return {
        "agreement": float(np.mean(probabilities.argmax(-1) == expected.argmax(-1))),
        "difference": float(np.abs(probabilities - expected).max()),
    }


def _measure(
    classifier: "Classifier",
    route: Route,
    folder: Path,
    batch_sizes: Sequence[int],
    seconds: float,
    representative_data: np.ndarray | None,
) -> tuple[list[Row], np.ndarray]:
    """Rows of a route, and its probabilities for the comparison images."""
    path = folder / f"{route.runtime}_{route.precision}.keras"
    if route.runtime in FORMATS:
        from keras_nasnet.inference.exporter import export

        export(
            classifier.model,
            path,
            route.runtime,
            precision=route.precision,
            representative_data=representative_data,
            size=classifier.size,
            normalization=classifier.normalization,
        )
    elif route.runtime == FUSED:
        from keras_nasnet.layers.fusion import fuse

        fuse(classifier.model, route.precision).save(path)
    else:
        classifier.model.save(path)
    job = {
        "runtime": route.runtime,
        "path": str(path),
        "normalization": classifier.normalization,
        "batch_sizes": list(batch_sizes),
        "seconds": seconds,
    }
    (folder / "job.json").write_text(json.dumps(job))
    result = subprocess.run(
        [sys.executable, "-m", __name__, folder],
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    if result.returncode:
        reason = result.stderr.strip().rpartition("\n")[2]
        raise ValueError(reason or f"the process exited with status {result.returncode}")
    rows = json.loads((folder / "rows.json").read_text())
    probabilities = np.load(folder / "result.npy")
    if not np.isfinite(probabilities).all():
        raise ValueError("its output is NaN instead of probabilities")
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    size_mib = sum(file.stat().st_size for file in files) / 2**20
    return [asdict(route) | row | {"size_mib": size_mib} for row in rows], probabilities


def _load(job: dict[str, Any]) -> Callable[[np.ndarray], np.ndarray]:
    """A function from images, 0 to 255, to probabilities."""
    if job["runtime"] in FORMATS:
        return FORMATS[job["runtime"]].load(Path(job["path"]))
    import keras

    from keras_nasnet import layers  # noqa: F401  registers them with Keras
    from keras_nasnet.data.batches import normalize

    model = keras.saving.load_model(job["path"], compile=False)
    return lambda images: model.predict_on_batch(normalize(images, job["normalization"]))


def _main(folder: Path) -> None:
    """Measures what `job.json` describes, in its own process."""
    job = json.loads((folder / "job.json").read_text())
    images = np.load(folder / "images.npy")
    run = _load(job)
    np.save(folder / "result.npy", np.concatenate([run(image[None]) for image in images]))
    rows = []
    for batch in job["batch_sizes"]:
        x = np.resize(images, (batch, *images.shape[1:]))
        run(x)  # compiles
        run(x)
        times: list[float] = []
        end = time.perf_counter() + job["seconds"]
        while len(times) < MIN_CALLS or time.perf_counter() < end:
            start = time.perf_counter()
            run(x)
            times.append(time.perf_counter() - start)
        p50, p90, p99 = (1000 * np.percentile(times, q) for q in (50, 90, 99))
        rows.append(
            {
                "batch": batch,
                "images_per_s": batch / statistics.median(times),
                "p50_ms": p50,
                "p90_ms": p90,
                "p99_ms": p99,
                "peak_mib": _peak_mib(),
            }
        )
    (folder / "rows.json").write_text(json.dumps(rows))


def _peak_mib() -> float:
    """The peak memory of this process."""
    status = Path("/proc/self/status")
    if status.exists():  # `getrusage` counts the parent's too, from before the program began
        line = next(line for line in status.read_text().splitlines() if "VmHWM" in line)
        return int(line.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS: bytes


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
