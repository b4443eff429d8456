"""Where a weight file is: a path, a TensorFlow checkpoint, a name on the Hugging Face Hub."""

import re
from os import PathLike
from pathlib import Path

from keras_nasnet.optional import import_optional

HUB = "hf://"
HUB_FILE = "model.safetensors"  # timm's name for it


def locate(source: str | PathLike[str]) -> Path:
    """The file given to `weights=` or `load_weights`.

    Args:
        source: str or `Path`: of a file; of a TensorFlow checkpoint, with or without `.index`; or
            `"hf://OWNER/NAME"`, also with `@REVISION` or `/FILE` after it, `model.safetensors` by
            default, which is downloaded to the hub's cache folder if it is not there.

    Returns:
        `Path` of a file; for a checkpoint, of its `.index`.

    Raises:
        FileNotFoundError: if there is no such file.
        ConnectionError: if the hub has no such file or cannot be reached.
        ValueError: if it is not a valid hub name, or huggingface_hub is not installed.
    """
    if str(source).startswith(HUB):
        return _fetch_from_hub(str(source))
    path = Path(source)
    index = Path(re.sub(r"(\.index|\.data-\d+-of-\d+)?$", ".index", str(path), count=1))
    if index.is_file():
        return index
    if not path.is_file():
        raise FileNotFoundError(
            f"weights: {source} is not a file; wanted the path of a file or TensorFlow checkpoint, "
            f"or a name such as {HUB}timm/nasnetalarge.tf_in1k"
        )
    return path


def _fetch_from_hub(name: str) -> Path:
    match = re.fullmatch(rf"{HUB}([\w.-]+/[\w.-]+)(?:@([\w.-]+))?(?:/(.+))?", name)
    if match is None:
        raise ValueError(f"weights: wanted {HUB}OWNER/NAME[@REVISION][/FILE], got {name}")
    repository, revision, file = match.groups()
    hub = import_optional("huggingface_hub", "hub")
    try:
        return Path(hub.hf_hub_download(repository, file or HUB_FILE, revision=revision))
    except hub.errors.LocalEntryNotFoundError as error:
        raise ConnectionError(
            f"{name} is not in the Hugging Face Hub's cache, and the hub cannot be reached. "
            "Download it on a machine with internet access and pass its path as weights=."
        ) from error
    except (hub.errors.HfHubHTTPError, hub.errors.HFValidationError) as error:
        raise ConnectionError(f"{name} cannot be downloaded: {error}") from error
