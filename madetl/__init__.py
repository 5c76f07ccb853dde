"""madetl: from answers of language models to the pairs worth judging, and to a ranking that says how sure it is."""

__version__ = "0.1.0"  # read from here by the build; importlib.metadata would take longer than all of `madetl --help`

__all__ = ["__version__"]
