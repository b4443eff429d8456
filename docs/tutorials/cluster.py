"""
On a cluster
============

A search runs its trials on any `concurrent.futures.Executor`. This page starts a Dask cluster of
this machine; on Slurm, Kubernetes or machines with SSH only its first lines differ, see the folder
`examples/cluster` of the repository. In a terminal::

    dask scheduler --scheduler-file cluster.json
    dask worker --scheduler-file cluster.json --nworkers 2 --nthreads 1
    keras-nasnet search --data digits --trials 8 --scheduler-file cluster.json --out cells
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from distributed import Client

from keras_nasnet.search import NASNetTuner, SearchSpace
from keras_nasnet.training import recipe

TRIALS = 8  # smoke: 1
BLOCKS = 5  # smoke: 1
WORKERS = 2  # smoke: 1
EPOCHS = 2  # smoke: 1

folder = Path("cluster")

# %%
# The cluster
# -----------
# A scheduler and workers, as the commands above start them. A worker trains one child at a time,
# so it needs one thread for it, and TensorFlow its share of the cores. Anyone who reaches a
# scheduler can run code on its cluster: this one listens on this machine alone; give others
# certificates.

folder.mkdir()
file = str(folder / "cluster.json")
dask = [sys.executable, "-m", "dask"]
scheduler = subprocess.Popen(
    [*dask, "scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", file],
    stderr=subprocess.DEVNULL,
)
workers = subprocess.Popen(
    [*dask, "worker", "--scheduler-file", file, "--nworkers", str(WORKERS), "--nthreads", "1"],
    stderr=subprocess.DEVNULL,
    env=os.environ | {"TF_NUM_INTRAOP_THREADS": "1"},
)
while not os.path.exists(file):
    time.sleep(0.1)
client = Client(scheduler_file=file)
client.wait_for_workers(WORKERS)
print(len(client.scheduler_info()["workers"]), "workers")

# %%
# The search
# ----------
# As many trials run at once as there are workers. If one dies, its trial is begun again, and goes
# on from its folder.

tuner = NASNetTuner(
    SearchSpace(num_blocks=BLOCKS),
    max_trials=TRIALS,
    num_cells=1,
    filters=8,
    recipe=recipe("search-child", epochs=EPOCHS, batch_size=32, learning_rate=0.1, augmentation=()),
    directory=folder,
    project_name="cells",
)
tuner.search("digits", executor=client.get_executor(pure=False))

# %%
# The process that searches is the only one to write the search's state, so the cluster may end:

client.close()
for process in (workers, scheduler):
    process.terminate()
    process.wait()
tuner.results_summary()
