"""The arguments of `keras-nasnet search`."""

import argparse

from keras_nasnet.cli.arguments import add_set, size

MODEL = "NASNetMobile"  # that cells are meant for, unless told otherwise
TLS = ("tls_ca_file", "tls_cert", "tls_key")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--out", metavar="RUN", help="new folder to write to")
    place.add_argument("--resume", metavar="RUN", help="folder of a search to resume")
    parser.add_argument(
        "--data", metavar="DATA", help="as for train; a tenth of its training images is held out"
    )
    parser.add_argument("--trials", type=int, metavar="N", help="total number of networks to train")
    time = parser.add_mutually_exclusive_group()
    time.add_argument(
        "--minutes",
        type=lambda text: 60 * float(text),
        dest="seconds",
        metavar="M",
        help="time for the search and a network of its best cell; how large the networks are, how "
        "long and how many are trained is planned from it, and from what a step takes here",
    )
    time.add_argument("--seconds", type=float, metavar="S", help="the same in seconds")
    parser.add_argument(
        "--dry-run", action="store_true", help="print the plan for --minutes and do no more"
    )
    parser.add_argument(
        "--finalists",
        type=int,
        metavar="K",
        help="at the end, train the cells of the K best trials longer and re-rank them",
    )
    parser.add_argument(
        "--finalist-epochs",
        type=int,
        metavar="N",
        help="epochs per finalist; default: five times a trial's",
    )
    _add_places(parser)
    parser.add_argument(
        "--searcher",
        default="controller",
        metavar="NAME",
        help="controller, evolution, local, predictor or random; default: %(default)s",
    )
    for name, default, what in (
        ("blocks", 5, "blocks per cell"),
        ("factor", 3, "networks of a rung for one that is trained on, so many times as long"),
        ("seed", 0, "random seed"),
    ):
        parser.add_argument(
            f"--{name}", type=int, default=default, metavar="N", help=f"{what}; default: {default}"
        )
    otherwise = "default: as planned for --minutes, else"
    for name, usual, what in (
        ("num-cells", "2", "normal cells in each of a child's three stages"),
        ("filters", "32", "filters in a child's first stage"),
        ("images", "all", "images of a child's epoch; the next goes on with others"),
    ):
        parser.add_argument(f"--{name}", type=int, metavar="N", help=f"{what}; {otherwise} {usual}")
    parser.add_argument(
        "--input-size",
        type=size,
        metavar="N",
        help=f"image size, N or HEIGHTxWIDTH; {otherwise} 32",
    )
    parser.add_argument(
        "--rungs",
        type=int,
        metavar="N",
        help="how often children are compared, the last time after all epochs of the recipe; at "
        "each the worse ones are dropped; 1 drops none; default: up to 3",
    )
    _add_limits(parser)
    parser.add_argument(
        "--recipe",
        default="search-child",
        metavar="NAME",
        help="recipe to train children with; default: %(default)s",
    )
    add_set(parser)


def _add_places(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="trials to run in parallel, each on its share of the cores or one GPU, or on a "
        "cluster; default: as many as the cluster has workers; here one or, with --minutes, one a "
        "GPU or core, up to 8",
    )
    cluster = parser.add_mutually_exclusive_group()
    cluster.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="run the trials on the Dask cluster at tcp://HOST:PORT or tls://HOST:PORT. Without "
        "TLS, anyone who reaches it can run code on the cluster",
    )
    cluster.add_argument(
        "--scheduler-file",
        metavar="FILE",
        help="the same, by the file that dask scheduler --scheduler-file wrote",
    )
    for name, what in zip(TLS, ("authority", "certificate", "key of the certificate"), strict=True):
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            metavar="FILE",
            help=f"PEM file for a cluster with TLS: {what}",
        )


def _add_limits(parser: argparse.ArgumentParser) -> None:
    for name, metavar, what in (
        ("mult-adds", "N", "multiply-adds of an image"),
        ("parameters", "N", "parameters"),
    ):
        parser.add_argument(
            f"--max-{name}",
            type=int,
            metavar=metavar,
            help=f"try no cells that make the network of --for one of more {what}",
        )
    parser.add_argument(
        "--for",
        default=MODEL,
        metavar="MODEL",
        help="published network that the cells are meant for; default: %(default)s",
    )
