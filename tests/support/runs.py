"""Runs of training that take no time."""

import csv

import numpy as np

from keras_nasnet import Block, CellSpec, Edge, Genotype
from keras_nasnet.cells.catalog import network_of
from keras_nasnet.data.source import Source
from keras_nasnet.training import trainer as training
from keras_nasnet.training.callback import LOG
from keras_nasnet.training.recipes import recipe
from keras_nasnet.training.trainer import Job

CELL = CellSpec((Block(Edge("conv_1x1", 0), Edge("identity", 1)),), output=(1, 2))


CONFIG = network_of(Genotype(CELL, CELL), "cifar", num_cells=1, penultimate_filters=32)


SHORT = {"epochs": 2, "batch_size": 8, "auxiliary_weight": 0.0}


def source(examples, seed=0):
    """Bright and dark images, the labels of which can be learned."""
    rng = np.random.default_rng(seed)
    labels = np.arange(examples) % 2
    images = rng.integers(0, 128, (examples, 32, 32, 3)) + 127 * labels[:, None, None, None]
    return Source(images.astype("uint8"), labels, ["dark", "bright"])


def job(name="cifar10", **changes):
    return Job(CONFIG, recipe(name, **SHORT | changes), "arrays", (32, 32), seed=3)


# Steps are counted for it, but nothing is dropped.
HARDLY = job(drop_path_rate=1e-12, learning_rate=0.0025)


def run_of(job, run, **options):
    return training.train(job, (source(26), source(8, 1)), run, **options)


def rows(run):
    with (run / LOG).open() as file:
        return list(csv.DictReader(file))
