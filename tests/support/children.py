"""Child processes of tests: each is waited for with a deadline, and none outlives its test.

with running([sys.executable, "-m", "madetl", "infer", …]) as child:
    child.until(lambda: server.answered > 60)
    child.kill()
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SECONDS = 120.0  # many times what a child needs: a machine under load passes, and one that hangs is ended


class Child(subprocess.Popen[str]):
    """A process that `running` started: `wait`, `communicate` and reading its output end when its time is over."""

    def until(self, condition: Callable[[], object]) -> None:
        """Waits until the condition holds. Raises AssertionError where the child ends before."""
        while not condition():
            if self.poll() is not None and not condition():
                raise AssertionError(f"the child ended with {self.returncode} before what it was waited for")
            time.sleep(0.01)


@contextmanager
def running(command: Sequence[object], *, seconds: float = SECONDS, **options: Any) -> Iterator[Child]:
    """Starts a command in the checkout, its output in pipes of text, and kills it at the end of the block.

    `options` are those of Popen. A child that still runs after `seconds` is killed, and AssertionError is raised.
    """
    words = [str(word) for word in command]
    settings = {"cwd": ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    late, overdue = threading.Event(), f"{words[:5]} still ran after {seconds:g} s"
    with Child(words, **settings) as child:

        def end() -> None:
            late.set()
            child.kill()

        watchdog = threading.Timer(seconds, end)
        watchdog.start()
        try:
            yield child
        except BaseException as error:
            if late.is_set():
                error.add_note(overdue)
            raise
        finally:
            watchdog.cancel()
            child.kill()
    assert not late.is_set(), overdue


def python(*arguments: object, **options: Any) -> AbstractContextManager[Child]:
    """`running` for this Python: `python("-m", "madetl", "rank")`, `python("-c", code)`."""
    return running([sys.executable, *arguments], **options)


def madetl(db_file: Path, *arguments: object, **options: Any) -> AbstractContextManager[Child]:
    """`running` for a command of madetl on this database."""
    return python("-m", "madetl", "--db", db_file, *arguments, **options)
