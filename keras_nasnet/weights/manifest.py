"""The published weight files: where they are, what they are called here, and their hashes.

The cards in the repository's `weights/` folder say where each comes from and what it reaches.
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


# By model and whether it has the classifier. Hashes as in keras.applications' nasnet.py.
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
