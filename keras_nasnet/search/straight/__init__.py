"""Children trained under TensorFlow without Keras's layers, which cost more than the steps."""

from pathlib import Path

from keras_nasnet.training.job import Job
from keras_nasnet.training.recipe_table import FINE_TUNING

STATE = "child.npz"  # in a child's folder


def can_train(job: Job, folder: Path) -> bool:
    """Whether `train_straight` can train a job in a folder, in place of the Keras model and `fit`.

    Not what Keras has begun, nor with another optimizer than SGD, other weights to start from,
    settings for fine-tuning, several devices, mixed precision or the stem for large images.
    """
    import keras

    from keras_nasnet.training.callback import CHECKPOINT

    return (
        keras.config.backend() == "tensorflow"
        and keras.config.dtype_policy().name == "float32"
        and job.recipe.optimizer == "sgd"
        and all(getattr(job.recipe, name) == value for name, value in FINE_TUNING.items())
        and job.config.stem == "cifar"
        and job.weights is None
        and job.devices == 1
        and not (folder / CHECKPOINT).exists()
    )
