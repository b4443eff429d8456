"""oneDNN, TensorFlow's kernels for CPUs: where to turn them on, and where they are slow."""

import os
from functools import cache

import numpy as np

SWITCH, LIMIT = "TF_ENABLE_ONEDNN_OPTS", "ONEDNN_MAX_CPU_ISA"  # environment variables
UNLIMITED = ("ALL", "DEFAULT", "AVX512", "AVX10")  # what values of `LIMIT` with AVX-512 start with


def use_onednn() -> None:
    """Turns oneDNN on for a TensorFlow that is not yet imported, unless the user has chosen.

    TensorFlow does so on newer CPUs only, but networks of these cells train 1.7 to 2 times as
    fast on older ones too (`benchmarks/onednn.py`).
    """
    os.environ.setdefault(SWITCH, "1")


def is_onednn_used() -> bool:
    """Whether TensorFlow uses oneDNN: as the user has chosen, else on newer CPUs."""
    switch = os.environ.get(SWITCH)
    return _has_avx_512() if switch is None else switch.lower() in ("1", "true")


@cache
def fuses_normalization() -> bool:
    """Whether TensorFlow may fuse normalization with the convolution before it in inference.

    Without AVX-512, oneDNN's reference code does that, at a tenth of the speed for small batches.
    """
    if not os.environ.get(LIMIT, "ALL").upper().startswith(UNLIMITED):
        return False
    return _has_avx_512()


def _has_avx_512() -> bool:
    features = np.show_config(mode="dicts").get("SIMD Extensions", {}).get("found", ())
    return any(feature.startswith(("AVX512", "X86_V4")) for feature in features)
