"""The command ``mmgap``: one module for each noun, options that commands share in :mod:`.job`."""

from __future__ import annotations

import sys
import warnings

import typer

from mmgap.cli import corpus, merges, models, report, two_stage
from mmgap.cli.show import plain
from mmgap.errors import MmgapError

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Text and image embeddings of one model live on different scales: see it, measure it, "
    "and see what it costs in recall.\n\n"
    "Example: `mmgap report --encoder mini-clip`",
)
for module in (report, merges):
    app.add_typer(module.app)  # without a name: its commands stand beside the groups
report.table_app.command("two-stage")(two_stage.two_stage)
app.add_typer(report.table_app, name="table")
app.add_typer(corpus.app, name="corpus")
app.add_typer(models.app, name="models")

SPELLED = {"on_error='skip'": "--on-error skip", 'on_error="skip"': "--on-error skip"}
"""What messages call by its name in Python, and its name here."""


PARTS = {"--split", "--condition", "--language"}
"""No options: the parts of a corpus are named with it."""


def main() -> None:
    """Run the command: an error is one line and status 2, a missing library status 1."""
    warnings.showwarning = _show_warning  # type: ignore[assignment]
    try:
        _refuse_parts(sys.argv[1:])
        app()
    except (MmgapError, OSError) as error:
        _say(str(error))
        sys.exit(2)
    except ImportError as error:
        _say(str(error))
        sys.exit(1)


def _refuse_parts(arguments: list[str]) -> None:
    if wrong := PARTS & {argument.partition("=")[0] for argument in arguments}:
        msg = (
            f"{wrong.pop()} is no option: a part is named with its corpus, as in --corpus "
            "pictograms/calibration/style/de. Only pictograms has conditions and languages, "
            "corpora of 'mmgap corpus list' take NAME/SPLIT, a folder of your own has no parts"
        )
        raise MmgapError(msg)


def _say(message: str) -> None:
    for python, option in SPELLED.items():
        message = message.replace(python, option)
    typer.secho(plain(f"mmgap: {message}"), err=True, fg="red")


def _show_warning(message: Warning | str, category: type[Warning], *_: object) -> None:
    """Print our own warnings as one line; those of libraries are not for whoever runs a command."""
    if category.__module__.startswith("mmgap"):
        _say(f"note: {message}")
