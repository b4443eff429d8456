"""Checks of outside input, and their error messages."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from numbers import Real
from pathlib import Path
from reprlib import Repr
from typing import Any

MAX_SHOWN = 80  # characters of a value in a message: one terminal line


class _Short(Repr):
    """`repr` of the first few items and characters."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxlist = self.maxtuple = self.maxdict = 20
        self.maxstring = self.maxlong = self.maxother = MAX_SHOWN

    def repr_int(self, value: int, level: int) -> str:
        if value.bit_length() > 4 * MAX_SHOWN:  # Python refuses to write thousands of digits
            return f"an integer of {value.bit_length():,} bits"
        return repr(value)


_SHORT = _Short()


def shown(value: Any) -> str:
    """A value for a message: its truncated `repr`, fast for any size."""
    return cut(_SHORT.repr(value))


def cut(text: str) -> str:
    """A text for a message, truncated to 80 characters."""
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."


def unknown(kind: str, name: Any, allowed: Iterable[str]) -> str:
    """The message for a name that is not allowed, with the closest allowed one."""
    allowed = list(allowed)
    return f"unknown {kind} {shown(name)}; {did_you_mean(name, allowed)}allowed are " + ", ".join(
        allowed
    )


def did_you_mean(name: Any, allowed: Iterable[str]) -> str:
    """`"did you mean NEAREST? "`, or nothing if no name is close."""
    nearest = get_close_matches(str(name)[:MAX_SHOWN], allowed, 1)
    return f"did you mean {nearest[0]}? " if nearest else ""


def is_number(value: Any) -> bool:
    """Whether a value of any type is a finite number and not a bool."""
    is_real = isinstance(value, Real) and not isinstance(value, bool)
    return is_real and bool(abs(value) <= sys.float_info.max)  # false for NaN


def check_integers(least: int, most: int | None = None, /, **values: Any) -> None:
    """Raises `ValueError` naming the first value that is not an integer in this range."""
    for name, value in values.items():
        if type(value) is not int or value < least:
            wanted = f"at least {least}"
        elif most is not None and value > most:
            wanted = f"at most {most:,}"
        else:
            continue
        raise ValueError(f"{name}: wanted an integer of {wanted}, got {shown(value)}")


def check_member(name: str, value: object, allowed: Iterable[str]) -> None:
    """Raises `ValueError` naming a value that is not allowed."""
    if value not in tuple(allowed):
        hint = did_you_mean(value, allowed)
        raise ValueError(
            f"{name}: {shown(value)} is not known; {hint}allowed are {', '.join(allowed)}"
        )


def check_size(size: Any, least: int, most: int) -> tuple[int, int]:
    """Height and width of images; raises `ValueError` unless they are two integers in range."""
    is_pair = isinstance(size, list | tuple) and len(size) == 2
    if not is_pair or any(type(side) is not int for side in size):
        raise ValueError(f"input size: wanted (height, width), two integers; got {shown(size)}")
    if min(size) < least:
        wanted = f"at least {least} x {least}"
    elif max(size) > most:
        wanted = f"at most {most:,} x {most:,}"
    else:
        return size[0], size[1]
    raise ValueError(f"input size: wanted {wanted}, got {' x '.join(map(shown, size))}")


def check_keys(
    where: str, config: Any, required: Iterable[str], optional: Iterable[str] = ()
) -> None:
    """Raises `ValueError` unless `config` is a dictionary with these keys and no others."""
    required, optional = list(required), list(optional)
    allowed = required + optional
    wanted = ", ".join(required + [f"{key} (optional)" for key in optional])
    if not isinstance(config, dict):
        raise ValueError(f"{where}: wanted an object with {wanted}; got {shown(config)}")
    for key in config:
        if key not in allowed:
            hint = did_you_mean(key, allowed)
            raise ValueError(
                f"{where}: unknown key {shown(key)}; {hint}wanted an object with {wanted}"
            )
    for key in required:
        if key not in config:
            raise ValueError(f"{where}: {key} is missing; wanted an object with {wanted}")


@contextmanager
def within(where: str) -> Iterator[None]:
    """Prefixes the message of a `ValueError` with the place it is about."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def parse_json(text: str, max_chars: int) -> Any:
    """Parses JSON text.

    Raises:
        ValueError: if it is not JSON, or longer than `max_chars`.
    """
    if len(text) > max_chars:
        raise ValueError(f"wanted at most {max_chars:,} characters of JSON, got more")
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("not readable JSON: lists or objects nested too deep") from None
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from None


def read_json(path: Path, max_chars: int) -> Any:
    """Like `parse_json`, for a file, of which no more is read; also raises `OSError`."""
    with path.open(encoding="utf-8") as file:
        try:
            text = file.read(max_chars + 1)
        except UnicodeDecodeError:
            raise ValueError("not JSON: not UTF-8 text") from None
    return parse_json(text, max_chars)
