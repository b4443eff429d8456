"""The published weight files: their addresses, local names and hashes.

The cards in the repository's `weights/` folder give the source and accuracy of each.
"""

from dataclasses import dataclass

BASE_URL = "https://storage.googleapis.com/tensorflow/keras-applications/nasnet/"


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A file to download.

    Args:
        url_name: its name at `base_url`.
        name: its name in the cache folder, keras.applications' own, so that a file it has
            downloaded is used.
        file_hash: hexadecimal MD5 or SHA-256.
        base_url: ends with "/".
    """

    url_name: str
    name: str
    file_hash: str
    base_url: str = BASE_URL


# By model and whether it includes the classifier. Hashes as in keras.applications' nasnet.py.
PUBLISHED = {
    ("NASNetMobile", True): PublishedFile(
        "NASNet-mobile.h5", "nasnet_mobile.h5", "020fb642bf7360b370c678b08e0adf61"
    ),
    ("NASNetMobile", False): PublishedFile(
        "NASNet-mobile-no-top.h5", "nasnet_mobile_no_top.h5", "1ed92395b5b598bdda52abe5c0dbfd63"
    ),
    ("NASNetLarge", True): PublishedFile(
        "NASNet-large.h5", "nasnet_large.h5", "11577c9a518f0070763c2b964a382f17"
    ),
    ("NASNetLarge", False): PublishedFile(
        "NASNet-large-no-top.h5", "nasnet_large_no_top.h5", "d81d89dc07e6e56530c4e77faddd61b5"
    ),
}

APACHE = "Apache-2.0"
SLIM_URL = "https://storage.googleapis.com/download.tensorflow.org/models/"
CADENE_URL = "http://data.lip6.fr/cadene/pretrainedmodels/"


@dataclass(frozen=True, slots=True)
class PublishedWeights:
    """Weights that `weights=` takes.

    Args:
        model: a name of `list_models()`.
        argument: the value for `weights=`; a path if it has to be downloaded first.
        source: whose they are, and the address if they have to be downloaded first.
        licence: of the weights or, if that is not stated, of the code they come with.
        classes: of the file's classifier, including a background class; None without one.
    """

    model: str
    argument: str
    source: str
    licence: str = APACHE
    classes: int | None = 1000


# Addresses and licences as in keras.applications' nasnet.py, slim's README.md, timm's nasnet.py
# and pnasnet.py, and Cadene's pretrained-models.pytorch.
WEIGHTS = (
    *(
        PublishedWeights(
            model,
            "imagenet",
            f"keras.applications, {file.base_url}{file.url_name}",
            classes=1000 if include_top else None,
        )
        for (model, include_top), file in PUBLISHED.items()
    ),
    PublishedWeights("NASNetLarge", "hf://timm/nasnetalarge.tf_in1k", "timm"),
    PublishedWeights("PNASNetLarge", "hf://timm/pnasnet5large.tf_in1k", "timm"),
    *(
        PublishedWeights(model, "model.ckpt", f"slim, {SLIM_URL}{file}.tar.gz", classes=1001)
        for model, file in (
            ("NASNetMobile", "nasnet-a_mobile_04_10_2017"),
            ("NASNetLarge", "nasnet-a_large_04_10_2017"),
            ("PNASNetMobile", "pnasnet-5_mobile_2017_12_13"),
            ("PNASNetLarge", "pnasnet-5_large_2017_12_13"),
        )
    ),
    *(
        PublishedWeights(
            model,
            f"{file}.pth",
            f"Cadene, {CADENE_URL}{file}.pth",
            "BSD-3-Clause (code)",
            classes,
        )
        for model, file, classes in (
            ("NASNetMobile", "nasnetamobile-7e03cead", 1000),
            ("NASNetLarge", "nasnetalarge-a1897284", 1001),
            ("PNASNetLarge", "pnasnet5large-bf079911", 1001),
        )
    ),
)
