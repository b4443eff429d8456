"""Images of several requests, classified together."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeAlias

import numpy as np

from keras_nasnet.inference.formats.servable import Outputs
from keras_nasnet.serving.limits import Limits
from keras_nasnet.serving.refused import RefusedError

# An image, its row, and since when it waits, by the event loop's clock.
Waiting: TypeAlias = tuple[np.ndarray, "asyncio.Future[Outputs]", float]


class Batcher:
    """Runs a model in a thread of its own, on as many waiting images at a time as allowed.

    An image waits at most `max_delay_ms` for others, and while the model runs. To be used within
    one event loop, as an asynchronous context.

    Args:
        run: from images `(batch, height, width, 3)`, uint8, to arrays by name.
        limits: `Limits`.
        batched: called with the size of each batch.
    """

    def __init__(
        self,
        run: Callable[[np.ndarray], Outputs],
        limits: Limits,
        batched: Callable[[int], object] = lambda size: None,
    ) -> None:
        self._run = run
        self._limits = limits
        self._batched = batched
        self._waiting: deque[Waiting] = deque()
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "model")
        self.busy_since: float | None = None  # of the event loop's clock

    async def __aenter__(self) -> "Batcher":
        self._task = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *error: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._thread.shutdown(wait=False)

    @property
    def num_waiting(self) -> int:
        return len(self._waiting)

    async def outputs(self, images: Sequence[np.ndarray]) -> list[Outputs]:
        """The rows of the model's outputs for images.

        Raises:
            RefusedError: if too many are waiting, or the model fails.
        """
        if self.num_waiting + len(images) > self._limits.queue:
            raise RefusedError(
                "busy",
                f"{self.num_waiting} images are waiting, at most {self._limits.queue} may; "
                "try again later",
            )
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[Outputs]] = [loop.create_future() for _ in images]
        now = loop.time()
        self._waiting.extend(
            (image, future, now) for image, future in zip(images, futures, strict=True)
        )
        self._arrived.set()
        try:
            return list(await asyncio.gather(*futures))
        finally:
            for future in futures:  # of a client that is gone: they are not classified
                future.cancel()

    async def _work(self) -> None:
        while True:
            await self._some()
            batch = self._take()
            if batch:
                images, futures, _ = zip(*batch, strict=True)
                await self._classify(images, futures)

    async def _some(self) -> None:
        """Waits for the first image, and then for as many as a batch holds or its delay."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        with suppress(TimeoutError):
            _, _, since = self._waiting[0]
            async with asyncio.timeout_at(since + self._limits.max_delay_ms / 1000):
                while len(self._waiting) < self._limits.max_batch:
                    self._arrived.clear()
                    await self._arrived.wait()

    def _take(self) -> list[Waiting]:
        batch: list[Waiting] = []
        while self._waiting and len(batch) < self._limits.max_batch:
            waiting = self._waiting.popleft()
            if not waiting[1].done():
                batch.append(waiting)
        return batch

    async def _classify(
        self, images: Sequence[np.ndarray], futures: Iterable["asyncio.Future[Outputs]"]
    ) -> None:
        loop = asyncio.get_running_loop()
        self._batched(len(images))
        self.busy_since = loop.time()
        try:
            arrays = await loop.run_in_executor(self._thread, self._run, np.stack(images))
        except Exception as error:  # of any kind: it is the answer to these images
            loop.call_exception_handler({"message": "the model failed", "exception": error})
            for future in futures:
                if not future.done():
                    reason = f"the model failed: {type(error).__name__}"
                    future.set_exception(RefusedError("model_failed", reason))
            return
        finally:
            self.busy_since = None
        for index, future in enumerate(futures):
            if not future.done():
                future.set_result({name: array[index] for name, array in arrays.items()})
