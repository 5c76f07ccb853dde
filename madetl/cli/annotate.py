"""The command annotate: the page on which people judge."""

from __future__ import annotations

import getpass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from madetl.cli.base import Command, Settings, examples
from madetl.cli.options import FiniteRange, floor_option, refuse_without_adaptive, seed_option, stop_at_option
from madetl.cli.output import note, warn
from madetl.text import counted

if TYPE_CHECKING:
    from madetl.web.server import Served

_PACKAGES = ("flask", "waitress", "markdown_it", "nh3")


@click.command(
    cls=Command,
    epilog=examples(
        "madetl annotate",
        "madetl annotate --annotator alice --annotator bob --overlap 2",
        "madetl annotate --selection pilot --guidelines guidelines.md --both-bad",
        "madetl annotate --adaptive --budget 105 --stop-at 0.95",
    ),
)
@click.option(
    "--selection",
    default="latest",
    show_default=True,
    metavar="NAME",
    help="The selection to judge. With --adaptive, latest is the adaptive one extended last; if there is none, one is "
    "begun.",
)
@click.option(
    "--annotator",
    "annotators",
    multiple=True,
    metavar="NAME",
    help="Who judges; may be repeated.  [default: your login name]",
)
@click.option(
    "--overlap", type=click.IntRange(1), default=1, show_default=True, help="How many people judge each selected pair."
)
@click.option(
    "--repeat",
    type=FiniteRange(0, 1),
    default=0.05,
    show_default=True,
    metavar="SHARE",
    help="Share of the pairs that a person is asked about again, to see self-agreement.",
)
@click.option("--both-bad", is_flag=True, help="Offer a fourth verdict: both are bad.")
@click.option(
    "--guidelines",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What annotators read first, as Markdown.  [default: madetl's own]",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8765,
    show_default=True,
    help="The port to listen on; 0: any that is free.",
)
@click.option("--adaptive", is_flag=True, help="Pick as people judge, where votes say least about the models' order.")
@click.option(
    "--budget",
    type=click.IntRange(min=1),
    metavar="N",
    help="With --adaptive: judgments in all, repeats apart; rounded up to --overlap on each pair.  [default: the "
    "selection's]",
)
@floor_option
@stop_at_option
@seed_option
@click.pass_obj
def annotate(settings: Settings, /, annotators: tuple[str, ...], **options: Any) -> None:
    """Open the page on which people judge the selected pairs, blind, until Ctrl-C.

    Prints one link per annotator. Whoever has a link judges under that name, so give each person only their own. Each
    verdict is stored the moment it is given; started again, everybody goes on where they stopped, with the same link.

    Each pair gets --overlap verdicts. A pair that somebody has left open for half an hour may go to somebody else.

    With --adaptive, what is judged next depends on the votes so far: pairs of models whose order is in doubt get more
    of the --budget. Pairs that wait for a verdict are dealt first, then the selection grows one by one. A selection
    that is begun here has the defaults of `madetl select`; for another metric, scenario or strategy begin one with
    `madetl select --adaptive`.
    """
    from madetl.errors import MissingExtraError

    if not all(find_spec(name) for name in _PACKAGES):
        raise MissingExtraError("The annotation page", "web")
    from madetl.store import database
    from madetl.web import server

    if not options["adaptive"]:
        refuse_without_adaptive("budget", "floor", "stop_at")
    names = [name.strip() for name in annotators or (_login_name(),)]
    with database.writing(settings.db, create=False) as db:
        summary = server.serve(db, settings.db, server.Parameters(annotators=names, **options), _show)
    click.echo(f"{summary}. Next: {settings.program} rank")


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        raise click.UsageError("Your login name is unknown here: give --annotator NAME.") from None


def _show(served: Served) -> None:
    some = next(iter(served.progress.values()))
    click.echo(f"Selection {served.selection}: {some.given:,} of {counted(some.needed, 'verdict')} given.\n")
    width = max(map(len, served.links))
    for name, link in served.links.items():
        left = served.progress[name].total - served.progress[name].done
        click.echo(f"  {name:{width}}  {link}{'' if left else '  (nothing is left to judge)'}")
    click.echo("\nCtrl-C ends; what was judged is stored already.")
    note(f"The links stay valid, until {served.key_file} is deleted.")
    if served.ended:
        note(f"Nothing new is picked: {served.ended}.")
    elif not any(p.total - p.done for p in served.progress.values()):
        note("All pairs have their verdicts. A larger --overlap asks for more.")
    if not served.loopback:
        warn(
            "everybody who can reach this machine and has a link can judge, and whoever listens on the network can "
            "read links and verdicts: the connection is not encrypted. Use a network that you trust, or a proxy with "
            "HTTPS before it."
        )


COMMANDS: list[click.Command] = [annotate]
