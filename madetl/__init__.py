"""madetl: from answers of language models to the pairs worth judging, and to a ranking that says how sure it is."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("madetl")
except PackageNotFoundError:  # a bare checkout that was never installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
