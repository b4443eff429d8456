"""Where oneDNN is turned on, and what is known of the CPU."""

import os

import numpy as np
import pytest

from keras_nasnet import onednn
from keras_nasnet.search.local import LocalExecutor


@pytest.mark.parametrize(("chosen", "used"), [(None, "1"), ("0", "0")])
def test_children_use_onednn_unless_the_user_has_chosen(chosen, used, monkeypatch):
    monkeypatch.delenv(onednn.SWITCH, raising=False)
    if chosen:
        monkeypatch.setenv(onednn.SWITCH, chosen)
    with LocalExecutor(1) as executor:
        assert executor.submit(os.getenv, onednn.SWITCH).result() == used


@pytest.mark.parametrize(
    ("found", "limit", "fuses"),
    [
        (["X86_V3"], None, False),
        (["AVX2", "FMA3"], None, False),
        (["X86_V3", "X86_V4", "AVX512_ICL"], None, True),
        (["AVX2", "AVX512F"], None, True),
        (["X86_V4"], "AVX2", False),
        (["X86_V4"], "avx512_core", True),
        (["X86_V3"], "ALL", False),
        (["NEON"], None, False),
        ([], None, False),
    ],
)
def test_normalization_is_fused_with_avx_512_alone(found, limit, fuses, monkeypatch):
    # NumPy leaves out what is empty.
    config = {"SIMD Extensions": {"found": found}} if found else {}
    monkeypatch.setattr(np, "show_config", lambda mode: config)
    monkeypatch.delenv(onednn.LIMIT, raising=False)
    if limit:
        monkeypatch.setenv(onednn.LIMIT, limit)
    assert onednn.fuses_normalization.__wrapped__() == fuses


@pytest.mark.parametrize(
    ("chosen", "found", "used"),
    [
        (None, ["X86_V3"], False),
        (None, ["X86_V4"], True),
        ("1", ["X86_V3"], True),
        ("0", ["X86_V4"], False),
    ],
)
def test_onednn_is_used_as_chosen_else_on_newer_cpus(chosen, found, used, monkeypatch):
    monkeypatch.setattr(np, "show_config", lambda mode: {"SIMD Extensions": {"found": found}})
    monkeypatch.delenv(onednn.SWITCH, raising=False)
    if chosen:
        monkeypatch.setenv(onednn.SWITCH, chosen)
    assert onednn.is_onednn_used() == used
