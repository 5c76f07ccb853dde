"""Serves the page until Ctrl-C: the run's row, the people's links, the socket and its threads."""

from __future__ import annotations

import logging
import math
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from socket import gethostname

from waitress.server import BaseWSGIServer, MultiSocketServer, create_server

from madetl.errors import ParameterError
from madetl.judgment import assign
from madetl.judgment.annotate import AnnotatorProgress, is_shared, progress
from madetl.rendering.markdown import render
from madetl.selection import select
from madetl.selection.sets import Adaptive
from madetl.store import runs
from madetl.store.annotators import stored_names
from madetl.store.database import transaction
from madetl.store.selections import find_set
from madetl.text import counted
from madetl.web.access import PageAccess, key_file, read_key
from madetl.web.app import Setting, create_app

DEFAULT_GUIDELINES = Path(__file__).parent / "guidelines.md"
_NOBODY = 0  # no annotator has this id
_THREADS = 8  # SQLite lets one write at a time; a few more can wait


@dataclass(frozen=True)
class Parameters:
    """What `madetl annotate` was asked for; `guidelines` None: madetl's own.

    `adaptive`: the selection grows as people judge, up to `budget` judgments (None: what the selection has), with
    `floor` and `stop_at` as in selection.sets.Adaptive.
    """

    selection: str
    annotators: Sequence[str]
    overlap: int = 1
    repeat: float = 0.05
    host: str = "127.0.0.1"
    port: int = 8765
    both_bad: bool = False
    seed: int = 42
    guidelines: Path | None = None
    adaptive: bool = False
    budget: int | None = None
    floor: int = 1
    stop_at: float | None = None

    @property
    def plan(self) -> Adaptive | None:
        """How the selection grows; each pair that it picks takes `overlap` judgments of the budget."""
        if not self.adaptive:
            return None
        pairs = None if self.budget is None else math.ceil(self.budget / self.overlap)
        return Adaptive(budget=pairs, floor=self.floor, stop_at=self.stop_at)

    def __post_init__(self) -> None:
        if not self.annotators or not all(name and len(name) <= 200 for name in self.annotators):
            raise ParameterError("An annotator's name is empty or over 200 characters long. Give another.")


@dataclass(frozen=True)
class Served:
    """The page as it is ready to be used: a link per annotator, in their order, and how far each is.

    `ended`: why the selection picks no more, in words; None: it may pick more, or does not grow as people judge.
    """

    selection: str
    links: dict[str, str]
    progress: dict[str, AnnotatorProgress]
    key_file: Path
    loopback: bool
    ended: str | None = None


def serve(db: sqlite3.Connection, path: Path, parameters: Parameters, ready: Callable[[Served], None]) -> str:
    """Serves until it is interrupted; `ready` is called once the socket is open. Returns the closing line.

    `db` is open for writing all the while, so that the log is folded into the file at the end. Raises ParameterError
    where the address cannot be used, the guidelines cannot be read, or a selection shall grow that cannot.
    """
    selection = _selection(db, parameters)
    guidelines = _read_guidelines(parameters.guidelines or DEFAULT_GUIDELINES)
    key = read_key(key_file(path))
    names = list(dict.fromkeys(parameters.annotators))
    with runs.run(db, "annotate", _recorded(parameters, selection, names), parameters.seed) as run:
        with transaction(db):
            people = dict(zip((assign.person(db, name) for name in names), stored_names(db, names), strict=True))
            study = _study(db, parameters, run.id)
        access = PageAccess(key, people)
        shared = is_shared(db, study, list(people))
        setting = Setting(path, study, people, access, render(guidelines, breaks=False), parameters.both_bad, shared)
        server = _listening(setting, parameters)
        try:
            ready(_served(db, setting, parameters, _port(server)))
            server.run()  # returns at Ctrl-C
        finally:
            server.close()
            run.summary = _summary(db, study)
    return run.summary


def _selection(db: sqlite3.Connection, parameters: Parameters) -> str:
    """The name of the selection that the page works through; an adaptive one may have no row in the database yet."""
    if parameters.plan is None:
        return str(find_set(db, parameters.selection)["name"])
    return select.growing(db, parameters.selection, parameters.plan, parameters.seed).name


def _study(db: sqlite3.Connection, parameters: Parameters, run_id: int) -> assign.PageStudy:
    """What the page works through. Makes an adaptive selection's row, or raises its budget: call it in a transaction.

    Names are looked up again, since somebody else may have begun the selection in the meantime.
    """
    plan, options = parameters.plan, (parameters.overlap, parameters.repeat, parameters.seed)
    if plan is None:
        chosen = find_set(db, parameters.selection)
        return assign.PageStudy(chosen["id"], chosen["name"], *options, run_id)
    request = select.growing(db, parameters.selection, plan, parameters.seed)
    set_id = select.keep(db, request, run_id)
    # From now on the stored budget counts, which another run may raise.
    return assign.PageStudy(set_id, request.name, *options, run_id, replace(plan, budget=None))


def _recorded(parameters: Parameters, selection: str, names: Sequence[str]) -> dict[str, object]:
    return {**vars(parameters), "selection": selection, "annotators": names}


def _read_guidelines(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror
        raise ParameterError(f"{path}: the guidelines cannot be read ({reason}). Give a text file.") from error


def _listening(setting: Setting, parameters: Parameters) -> BaseWSGIServer | MultiSocketServer:
    logging.getLogger("waitress").setLevel(logging.ERROR)  # it warns of every short queue
    try:
        return create_server(
            create_app(setting), host=parameters.host, port=parameters.port, threads=_THREADS, ident=""
        )
    except (OSError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ParameterError(
            f"{parameters.host}, port {parameters.port} cannot be used ({reason}). "
            "Give another --port (0: any that is free) or --host."
        ) from error


def _port(server: BaseWSGIServer | MultiSocketServer) -> int:
    if isinstance(server, MultiSocketServer):  # a host name of several addresses
        return int(server.effective_listen[0][1])
    return int(server.effective_port)


def _served(db: sqlite3.Connection, setting: Setting, parameters: Parameters, port: int) -> Served:
    base, study, people = f"http://{_reachable(parameters.host)}:{port}/l/", setting.study, setting.annotators
    ending = assign.ending(db, study)
    return Served(
        study.selection,
        {name: base + setting.access.link_token(annotator) for annotator, name in people.items()},
        {name: progress(db, study, annotator, ended=ending is not None) for annotator, name in people.items()},
        key_file(setting.database),
        _is_loopback(parameters.host),
        study.plan.why(ending) if study.plan and ending else None,
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reachable(host: str) -> str:
    """The host to write into a link: this machine's name where the page listens on all of its addresses."""
    if host in {"0.0.0.0", "::"}:
        return gethostname()
    return f"[{host}]" if ":" in host else host


def _summary(db: sqlite3.Connection, study: assign.PageStudy) -> str:
    verdicts, people = db.execute(
        "SELECT count(*), count(DISTINCT annotator_id) FROM judgments WHERE run_id = ?", (study.run_id,)
    ).fetchone()
    if not verdicts:
        return f"No verdict was given{_how_far(db, study)}"
    return f"{counted(verdicts, 'verdict')} given by {counted(people, 'annotator')}{_how_far(db, study)}"


def _how_far(db: sqlite3.Connection, study: assign.PageStudy) -> str:
    """How far a selection that grows has come, to end a sentence with: why it ended, or how many verdicts it has."""
    if study.plan is None:
        return ""
    ending = assign.ending(db, study)
    everybody = progress(db, study, _NOBODY, ended=ending is not None)
    if ending is None:
        return f": {everybody.given:,} of {everybody.needed:,} are there"
    missing = everybody.needed - everybody.given
    still = f", {counted(missing, 'verdict')} still to come" if missing else ""
    return f": {study.plan.why(ending)}{still}"
