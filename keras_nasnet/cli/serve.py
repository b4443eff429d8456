"""`keras-nasnet serve`."""

import argparse
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from keras_nasnet.check import check_integers, check_member
from keras_nasnet.cli.arguments import (
    IMAGENET_MODELS,
    Commands,
    add_size_and_weights,
    command,
    load_classifier,
)
from keras_nasnet.optional import import_optional
from keras_nasnet.training.job import model_file

if TYPE_CHECKING:
    from keras_nasnet.serving.model import ServedModel

EXTRA = "serve"
TOKEN = "KERAS_NASNET_TOKEN"
MIB = 1 << 20


def add(commands: Commands) -> None:
    parser = command(
        commands,
        "serve",
        run,
        "serve a model over HTTP, with a page for people",
        "keras-nasnet serve run --port 8000\n"
        "  curl -F images=@photo.jpg http://127.0.0.1:8000/predict\n\n"
        "GET /docs describes all requests. Put a proxy with TLS in front of it for other machines.",
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="what keras-nasnet export wrote, a run folder, a .keras file, or "
        f"{IMAGENET_MODELS} with ImageNet weights",
    )
    _add_address(parser)
    _add_runtime(parser)
    _add_limits(parser)


def _add_address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, default=8000, help="0: any; default: %(default)s")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; default: %(default)s, for this machine only; 0.0.0.0 for all",
    )
    parser.add_argument(
        "--token",
        default=os.environ.get(TOKEN),
        help="answer only requests with Authorization: Bearer TOKEN; default: the environment "
        f"variable {TOKEN}, which other users of the machine do not see",
    )
    parser.add_argument(
        "--cors",
        nargs="+",
        default=[],
        metavar="ORIGIN",
        help="sites whose pages may read the answers, such as https://example.com; default: none",
    )


def _add_runtime(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--runtime",
        metavar="NAME",
        help="fused, or a format of keras-nasnet export; default: the fastest on this machine, "
        "which is measured first; not for exports",
    )
    parser.add_argument(
        "--precision", metavar="NAME", help="as of keras-nasnet export; default: float32"
    )
    add_size_and_weights(parser)


def _add_limits(parser: argparse.ArgumentParser) -> None:
    limits = parser.add_argument_group("limits")
    for name, kind, default, text in (
        ("--max-batch", int, 16, "images classified together"),
        ("--max-delay-ms", float, 5.0, "how long an image waits for others"),
        ("--queue", int, 128, "waiting images, and open requests, above which the answer is 429"),
        ("--max-mib", int, 32, "size of a request"),
        ("--max-images", int, 32, "images in a request"),
        ("--max-megapixels", int, 64, "size of an image"),
        ("--timeout", float, 30.0, "seconds for a request"),
    ):
        limits.add_argument(
            name, type=kind, default=default, metavar="N", help=f"{text}; default: {default:g}"
        )


def run(options: argparse.Namespace) -> int:
    for module in ("fastapi", "fastapi_offline", "uvicorn", "prometheus_client"):
        import_optional(module, EXTRA)
    from keras_nasnet.serving.app import make_app
    from keras_nasnet.serving.limits import Limits
    from keras_nasnet.serving.server import bound, serve, stoppable

    check_integers(0, 65_535, **{"--port": options.port})
    if options.token == "":
        raise ValueError("--token: it is empty")
    limits = Limits(
        max_bytes=options.max_mib * MIB,
        max_images=options.max_images,
        max_pixels=options.max_megapixels * 1_000_000,
        timeout_s=options.timeout,
        queue=options.queue,
        max_batch=options.max_batch,
        max_delay_ms=options.max_delay_ms,
    )
    with (
        stoppable(),
        bound(options.host, options.port) as held,
        tempfile.TemporaryDirectory() as at,
    ):
        model = _model(options, Path(at))
        model.warm_up(limits.max_batch)
        host, port = held.getsockname()[:2]
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        app = make_app(model, limits, options.token, options.cors)
        serve(app, held, lambda: print(_line(model, address), flush=True))
    print("stopped")
    return 0


def _line(model: "ServedModel", address: str) -> str:
    height, width = model.runner.size
    return (
        f"{model.name}: {model.runtime} {model.runner.precision}, {height} x {width}, "
        f"{len(model.runner.class_names):,} classes, at {address} (Ctrl-C stops it)"
    )


def _model(options: argparse.Namespace, folder: Path) -> "ServedModel":
    """The model as it is served; exports that are made for it are in the folder."""
    from keras_nasnet.inference.formats import format_of
    from keras_nasnet.serving.model import card_of, open_export, unicode

    path = Path(options.model)
    name = unicode(path.resolve().name if path.exists() else options.model)
    if format_of(path):
        for option in ("runtime", "precision", "input_size"):
            if getattr(options, option) is not None:
                flag = f"--{option.replace('_', '-')}"
                raise ValueError(f"{flag}: {path} is an export, which has its own; leave it out")
        return open_export(path, name)
    try:
        model_file(options.model)
    except ValueError as error:
        raise ValueError(f"{error}; or name what keras-nasnet export wrote, an export") from None
    return replace(_made(options, folder, name), card=card_of(options.model, options.weights))


def _made(options: argparse.Namespace, folder: Path, name: str) -> "ServedModel":
    """A model of Keras in the runtime that is chosen or the fastest."""
    from keras_nasnet.serving import fastest
    from keras_nasnet.serving.model import open_export, open_fused

    precision, runtime = options.precision or "float32", options.runtime
    check_member("--precision", precision, fastest.PRECISIONS)
    available = fastest.runtimes(precision)
    if not available:
        raise ValueError(f"--precision: no installed runtime computes in {precision}")
    if runtime is not None:
        check_member("--runtime", runtime, available)
    arguments = [options.model, "--weights", options.weights]
    if options.input_size:
        arguments += ["--input-size", "x".join(map(str, options.input_size))]
    if runtime is None:
        print("measuring the runtimes of this machine; --runtime skips this", file=sys.stderr)
        runtime, figures = fastest.fastest(arguments, precision, options.max_batch)
        print(f"--runtime {runtime}: {figures}", file=sys.stderr)
    if runtime == "fused":
        return open_fused(load_classifier(options), name, precision)
    fastest.export(arguments, folder / "model", runtime, precision)
    return open_export(folder / "model", name)
