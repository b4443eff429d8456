"""What a server accepts."""

from dataclasses import dataclass

from keras_nasnet.check import check_integers, is_number, shown
from keras_nasnet.data.image import MAX_PIXELS

MAX_DELAY_MS = 10_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a server, above which a request or an image is refused.

    Args:
        max_bytes: int, of the body of a request. Default: 32 MiB.
        max_images: int, in a request.
        max_pixels: int, of an image; one of more is not decoded.
        timeout_s: float, from a request's first byte to its answer.
        queue: int, how many requests are answered at a time, and how many images wait for the
            model.
        max_batch: int, images that the model classifies together.
        max_delay_ms: float, how long an image waits for others to be classified with it.

    Raises:
        ValueError: if one is out of range.
    """

    max_bytes: int = 32 << 20
    max_images: int = 32
    max_pixels: int = MAX_PIXELS
    timeout_s: float = 30.0
    queue: int = 128
    max_batch: int = 16
    max_delay_ms: float = 5.0

    def __post_init__(self) -> None:
        check_integers(
            1, max_bytes=self.max_bytes, max_images=self.max_images, max_pixels=self.max_pixels
        )
        check_integers(1, 4_096, max_batch=self.max_batch)
        check_integers(self.max_images, queue=self.queue)  # else such a request never fits
        if not is_number(self.timeout_s) or not 0 < self.timeout_s <= 3_600:
            raise ValueError(
                f"timeout: wanted seconds above 0, at most 3,600; got {shown(self.timeout_s)}"
            )
        if not is_number(self.max_delay_ms) or not 0 <= self.max_delay_ms <= MAX_DELAY_MS:
            raise ValueError(
                f"max_delay_ms: wanted milliseconds from 0 to {MAX_DELAY_MS:,}; "
                f"got {shown(self.max_delay_ms)}"
            )
