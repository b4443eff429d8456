"""Searches on machines that are reached by SSH without a password, with TLS between them.

    pip install 'keras_nasnet[tensorflow,cluster]' asyncssh    # on each machine
    python examples/cluster/ssh.py head gpu1 gpu2 --data /shared/photos --trials 200 --tls certs

The first host runs the scheduler, the others a worker each. `certs` holds `ca.pem`, `cert.pem` and
`key.pem`, at the same path on each machine. Without a shared file system the data have to be on
each machine; the best model of each child is sent here.
"""

import argparse
from pathlib import Path

from distributed import Client, Security, SSHCluster

from keras_nasnet.search import NASNetTuner


def security(folder):
    """TLS for scheduler, workers and client, of the files in a folder."""
    files = {"tls_ca_file": str(folder / "ca.pem")}
    for role in ("scheduler", "worker", "client"):
        files |= {f"tls_{role}_cert": str(folder / "cert.pem")}
        files |= {f"tls_{role}_key": str(folder / "key.pem")}
    return Security(require_encryption=True, **files)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("hosts", nargs="+", help="the scheduler's, then the workers'")
    parser.add_argument("--data", required=True)
    parser.add_argument("--trials", type=int, default=100, help="default: %(default)s")
    parser.add_argument("--tls", type=Path, required=True, help="folder of PEM files")
    parser.add_argument("--out", default="ssh_search", help="default: %(default)s")
    options = parser.parse_args()

    secure = security(options.tls.absolute())
    with (
        SSHCluster(options.hosts, worker_options={"nthreads": 1}, security=secure) as cluster,
        Client(cluster, security=secure) as client,
    ):
        tuner = NASNetTuner(max_trials=options.trials, directory=".", project_name=options.out)
        tuner.search(options.data, executor=client.get_executor(pure=False))
    tuner.results_summary()


if __name__ == "__main__":
    main()
