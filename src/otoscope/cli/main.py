"""The command group; each command is imported on use."""

from __future__ import annotations

import importlib
import os
import sys

import click

from otoscope import __version__
from otoscope.cli.columns import one_line
from otoscope.core.errors import OtoscopeError

COMMANDS = {
    "explain": "Write the sound that a classifier used, the sound that it ignored, and a report.",
    "classify": "Print the most probable labels of audio files.",
    "demo": "Explain a synthetic scene with the built-in classifier.",
    "models": "List the classifiers and architectures, or describe one.",
    "methods": "List the attribution methods.",
    "domains": "List the domains of explanations.",
    "masks": "List the masks.",
    "train": "Train a classifier or an autoencoder from a recipe.",
    "like-to-hear": "Tune autoencoders to frozen classifiers and compare what they keep.",
    "study": "Compare explanation methods on many clips, from a recipe.",
    "recipe": "List the built-in recipes, show one, or print the JSON schema of a kind.",
    "auralise": "Hear what features of a layer respond to in a sound.",
    "atlas": "Name every feature of a network's layers by measurement, and hear each.",
    "prototypes": "Hear and refine the prototypes of an apnet; find those of other classifiers.",
    "studio": "Open a local page to look at, hear and edit a model.",
    "table": "Print or write a leaderboard of explanation methods from results of studies.",
    "data": "List the data sets, download one or check one.",
}


class LazyGroup(click.Group):
    """Lists names and one-line helps of its commands without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        room = "catalogue" if cmd_name in ("methods", "domains", "masks") else name
        return getattr(importlib.import_module(f"otoscope.cli.{room}"), name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest the nearest names for an unknown command."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from otoscope.core.errors import UnknownNameError

            raise click.UsageError(str(UnknownNameError("command", args[0], COMMANDS)))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; an unexpected end of file is an error, which click would take for Ctrl-D."""
        try:
            return super().invoke(ctx)
        except EOFError as error:
            raise click.ClickException(f"unexpected end of file ({str(error) or 'EOFError'})") from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table of commands."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="otoscope")
def cli() -> None:
    """Hear what an audio classifier listens to."""


def _refuse(error: click.ClickException) -> None:
    """Print a usage error in one line; the help for a command without arguments."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return
    text = " ".join(error.format_message().split())
    ctx = error.ctx if isinstance(error, click.UsageError) else None
    more = f"; see {ctx.command_path} --help" if ctx is not None else ""
    click.echo(f"otoscope: {one_line(text.rstrip('.') + more)}", err=True)


def main(args: list[str] | None = None) -> None:
    """Entry point: every error in one line, never a traceback.

    Examples
    --------
    >>> try:
    ...     main(["--version"])
    ... except SystemExit as left:
    ...     print(left.code)
    otoscope, version ...
    0
    """
    try:
        code = cli.main(args, prog_name="otoscope", standalone_mode=False)
    except click.ClickException as error:
        _refuse(error)
        code = 2
    except OtoscopeError as error:
        click.echo(f"otoscope: {one_line(error)}", err=True)
        code = 2
    except (KeyboardInterrupt, click.Abort):
        click.echo("otoscope: interrupted; files written so far are complete", err=True)
        code = 130
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            click.echo(f"otoscope: {one_line(error)}", err=True)
            sys.exit(2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code if isinstance(code, int) else 0)
