"""Lets `python -m madetl` stand for `madetl`."""

from madetl.cli import main

if __name__ == "__main__":
    main()
