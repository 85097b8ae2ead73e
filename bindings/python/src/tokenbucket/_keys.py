"""The keys of a table as bytes. Different keys never have the same ones."""

from __future__ import annotations

from typing import Any, Tuple, Union

from ._constants import TB_MAX_KEY_SIZE

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
        raise ValueError(f"a key must have at most {TB_MAX_KEY_SIZE} bytes, not {len(content)}")
    return content


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
    raise TypeError(f"a key must be a str, bytes, an int or a tuple of these, not {type(key).__name__}")
