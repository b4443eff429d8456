"""
Search for a cell in half an hour
=================================

The paper searched with hundreds of GPUs for four days. The same search fits into half an hour of
two cores where the images are small: scikit-learn's handwritten digits, children with one cell in
a stage, four epochs each. In a terminal::

    keras-nasnet search --data digits --minutes 30 --out cells
"""

from pathlib import Path

import matplotlib.pyplot as plt
from PIL import Image

from keras_nasnet.cells import network_of, plot_genotype
from keras_nasnet.cells.layout import output_width
from keras_nasnet.data import open_data
from keras_nasnet.search import NASNetTuner, SearchSpace
from keras_nasnet.training import Job, recipe, train

MINUTES = 30  # smoke: 30
TRIALS = None  # smoke: 1
BLOCKS = 5  # smoke: 1
EPOCHS = 4  # smoke: 1
LARGER_EPOCHS = 12  # smoke: 0

folder = Path("search")

# %%
# The space
# ---------
# Five blocks in each of the two cells; for each block two states, two operations, and how they are
# combined.

space = SearchSpace(num_blocks=BLOCKS)
print(len(space), "decisions, the first ones:", *list(space)[:5])

# %%
# The search
# ----------
# Each trial asks the controller for cells and trains a child, in a process of its own. A row is
# printed when it has ended. Killed, the same lines go on in the middle of a child.

settings = recipe("search-child", epochs=EPOCHS, batch_size=32, learning_rate=0.1, augmentation=())
tuner = NASNetTuner(
    space,
    searcher="controller",
    max_trials=TRIALS,
    max_seconds=60 * MINUTES,
    num_cells=1,
    filters=8,
    recipe=settings,
    directory=folder,
    project_name="cells",
)
tuner.search("digits")

# %%
# What it found
# -------------
# `report.html` in the search's folder has more: the rewards next to those expected of random
# search, the operations chosen over time, and the best cells.

tuner.results_summary(5)

# %%

best, *_ = tuner.get_best_genotypes()
plot_genotype(best, folder / "best.png")
plt.figure(figsize=(9, 4), layout="constrained")
plt.imshow(Image.open(folder / "best.png"))
_ = plt.axis("off")

# %%
# A larger network of it
# ----------------------
# The cell was found in a network of one cell in a stage and eight filters. Here it is twice as
# wide, and trained longer.

if LARGER_EPOCHS:
    width = 4 * 16 * output_width(best.normal)  # filters double twice, from 16
    larger = network_of(best, "cifar", num_cells=1, penultimate_filters=width)
    longer = recipe(
        "search-child", epochs=LARGER_EPOCHS, batch_size=32, learning_rate=0.1, augmentation=()
    )
    job = Job(larger, longer, "digits", (32, 32))
    train(job, open_data("digits"), folder / "larger", verbose=2)
