"""The keys of a table as bytes. Different keys never have the same ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Tuple, TypeVar, Union

from ._constants import TB_MAX_KEY_SIZE
from ._errors import refused, wrong_type

T = TypeVar("T")

Key = Union[str, bytes, int, Tuple[Any, ...]]
"""A str, bytes, an int, or a tuple of keys. A str and its UTF-8 are the same key; no others that differ are."""

# No UTF-8 has this byte, so what begins with it is no str.
_MARK = b"\xff"
_TEXT, _INT, _TUPLE = b"s", b"i", b"t"


def encode(key: Key) -> bytes:
    """The bytes of a str or bytes as they are, of all else behind a mark and its kind.

    TypeError: no key. ValueError: too long, or a str with half a surrogate pair.
    """
    kind, content = _parts(key)
    if kind != _TEXT or content[:1] == _MARK:
        content = _MARK + kind + content
    if len(content) > TB_MAX_KEY_SIZE:
        raise refused("key", f"at most {TB_MAX_KEY_SIZE} bytes", len(content))
    return content


def listed(keys: Iterable[T]) -> Tuple[T, ...]:
    """The keys of a call for many. One str is no list of its letters."""
    if isinstance(keys, (str, bytes)) or not isinstance(keys, Iterable):
        raise wrong_type("keys", "a list of keys", keys)
    return tuple(keys)


def _parts(key: Key) -> Tuple[bytes, bytes]:
    if isinstance(key, str):
        return _TEXT, str.encode(key)
    if isinstance(key, bytes):
        return _TEXT, bytes(key)
    if isinstance(key, tuple):
        return _TUPLE, b"".join(kind + len(content).to_bytes(8, "big") + content for kind, content in map(_parts, key))
    if isinstance(key, int) and not isinstance(key, bool):
        magnitude = ~key if key < 0 else key
        return _INT, int(key).to_bytes(max(8, magnitude.bit_length() // 8 + 1), "big", signed=True)
    raise wrong_type("key", "a str, bytes, an int or a tuple of these", key)
