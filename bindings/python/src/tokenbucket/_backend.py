"""Chooses the backend: the C extension where it was built and loads, else ctypes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

# For tests: "native" or "ctypes" takes that one or fails.
_forced = os.environ.get("TOKENBUCKET_BACKEND", "")
if _forced not in ("", "native", "ctypes"):
    raise ImportError(f'TOKENBUCKET_BACKEND is "{_forced}"; it may be "native" or "ctypes"')

if TYPE_CHECKING:
    from ._ctypes_backend import Bucket, Clock, library_version, limit_refusal, remove_shared, shared_fault
    from ._ctypes_limits import Limits
    from ._ctypes_remote import Remote, ask_many, queue_key, read_many, remote_script
    from ._ctypes_table import Table, key_of_address

    backend: str
else:
    backend = "ctypes"
    if _forced != "ctypes":
        try:
            from ._native import (
                Bucket,
                Clock,
                Limits,
                Remote,
                Table,
                ask_many,
                key_of_address,
                library_version,
                limit_refusal,
                queue_key,
                read_many,
                remote_script,
                remove_shared,
                shared_fault,
            )

            backend = "native"
        except ImportError:
            if _forced == "native":
                raise
    if backend == "ctypes":
        # Where the extension is there but its library is not, this says so in a sentence.
        from ._ctypes_backend import Bucket, Clock, library_version, limit_refusal, remove_shared, shared_fault
        from ._ctypes_limits import Limits
        from ._ctypes_remote import Remote, ask_many, queue_key, read_many, remote_script
        from ._ctypes_table import Table, key_of_address

__all__ = [
    "Bucket",
    "Clock",
    "Limits",
    "Remote",
    "Table",
    "ask_many",
    "backend",
    "key_of_address",
    "library_version",
    "limit_refusal",
    "queue_key",
    "read_many",
    "remote_script",
    "remove_shared",
    "shared_fault",
]
