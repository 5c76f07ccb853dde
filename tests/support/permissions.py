"""Permissions that hold for root too: a child process that calls `obey` writes only where they allow it."""

from __future__ import annotations

import ctypes
import os
import struct

_VERSION = 0x20080522  # of the capability calls: two words for each of the three sets
_DAC_OVERRIDE = 1 << 1  # capabilities(7): root may write where the permissions of a file or folder say no


def obey() -> None:
    """From here on this process writes only where permissions allow it; a process of root gives a capability up.

    It stays the same user, and root still reads everything: the program, its schema and the test's folder are found
    wherever they stand, also in a folder that others cannot enter. What was given up cannot be had back, so call it in
    a child process. Raises OSError where the system refuses.
    """
    if os.geteuid() == 0:
        effective, permitted, *others = _capabilities()
        _set(effective & ~_DAC_OVERRIDE, permitted & ~_DAC_OVERRIDE, *others)


def _capabilities() -> tuple[int, ...]:
    """Effective, permitted and inheritable capabilities: the low words of all three, then the high ones."""
    words = ctypes.create_string_buffer(24)
    _call("capget", words)
    return struct.unpack("=6I", words.raw)


def _set(*words: int) -> None:
    _call("capset", ctypes.create_string_buffer(struct.pack("=6I", *words), 24))


def _call(name: str, words: ctypes.Array[ctypes.c_char]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    header = ctypes.create_string_buffer(struct.pack("=Ii", _VERSION, 0), 8)  # 0: this process
    if getattr(libc, name)(header, words) != 0:
        raise OSError(ctypes.get_errno(), f"{name} failed")
