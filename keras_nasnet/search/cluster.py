"""The executor of a Dask cluster, by the address of its scheduler."""

import logging
import os
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path

from keras_nasnet.optional import import_optional

TIMEOUT_S = 30

log = logging.getLogger(__name__)


@contextmanager
def cluster(
    address: str | None = None,
    *,
    scheduler_file: str | os.PathLike[str] | None = None,
    tls_ca_file: str | os.PathLike[str] | None = None,
    tls_cert: str | os.PathLike[str] | None = None,
    tls_key: str | os.PathLike[str] | None = None,
) -> Iterator[Executor]:
    """An executor for `NASNetTuner.search` while the context lasts; the cluster goes on after it.

    Whoever reaches a scheduler without TLS can run code on the cluster.

    Args:
        address: str such as `"tcp://10.0.0.1:8786"`, or `"tls://..."`.
        scheduler_file: path of the file that `dask scheduler --scheduler-file` wrote, instead.
        tls_ca_file, tls_cert, tls_key: paths of PEM files, all three or none: the authority that
            signs the cluster's certificates, and this client's certificate and key.

    Yields:
        Dask's `ClientExecutor`.

    Raises:
        ValueError: as from `check_cluster`.
        ConnectionError: if no scheduler answers there.
    """
    check_cluster(address, scheduler_file, tls_ca_file, tls_cert, tls_key)
    distributed = import_optional("distributed", "cluster")
    tls = {"tls_ca_file": tls_ca_file, "tls_client_cert": tls_cert, "tls_client_key": tls_key}
    paths = {name: str(path) for name, path in tls.items()}
    security = distributed.Security(require_encryption=True, **paths) if tls_ca_file else None
    try:
        client = distributed.Client(
            address,
            scheduler_file=scheduler_file and str(scheduler_file),
            security=security,
            timeout=TIMEOUT_S,
            set_as_default=False,
        )
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise ConnectionError(
            f"no Dask scheduler at {address or scheduler_file}: {error}"
        ) from None
    with client:
        if not client.nthreads():
            log.warning("%s has no workers yet; trials wait for them", address or scheduler_file)
        yield client.get_executor(pure=False)


def check_cluster(
    address: str | None,
    scheduler_file: str | os.PathLike[str] | None,
    *tls: str | os.PathLike[str] | None,
) -> None:
    """Checks the arguments of `cluster`.

    Raises:
        ValueError: if Dask is not installed, there is not one of address and file, there are some
            but not all of the TLS files, or a file is missing.
    """
    import_optional("distributed", "cluster")
    if (address is None) == (scheduler_file is None):
        raise ValueError("scheduler, scheduler_file: wanted one of them")
    given = [path for path in tls if path is not None]
    if given and len(given) < len(tls):
        raise ValueError("tls_ca_file, tls_cert, tls_key: wanted all three or none")
    if address is not None and address.startswith("tls:") and not given:
        raise ValueError(f"{address}: needs tls_ca_file, tls_cert and tls_key")
    for path in given if scheduler_file is None else [*given, scheduler_file]:
        if not Path(path).is_file():
            raise ValueError(f"{path} is not a file")
