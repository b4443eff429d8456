"""The server's tests need its extra, which the environments of JAX and PyTorch do not have."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("fastapi") else ["test_*.py"]
