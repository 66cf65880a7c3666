"""`otoscope studio`."""

from __future__ import annotations

import click

from otoscope.cli.columns import one_line
from otoscope.cli.options import clip_options, log


@click.command()
@click.option("--model", required=True, help="A model folder or a name from 'otoscope models'.")
@click.option("--weights", type=click.Path(), help="Weights to load instead of those of the model.")
@clip_options
@click.option(
    "--out", default="studio", show_default=True, metavar="DIR", help="Folder of the session, which is continued if it is there."
)  # fmt: skip
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="Port on this machine; 0 takes any free one.")
@click.option("--open/--no-open", "opens", default=True, help="Open the page in the browser.")
def studio(
    model: str,
    weights: str | None,
    data: str,
    root: str,
    validation: tuple[int | str, ...],
    test: tuple[int | str, ...],
    out: str,
    port: int,
    opens: bool,
) -> None:
    """Open a local page to look at, hear and edit a model.

    Features of its layers can be heard in any clip; their atlas is made in the background and kept in DIR/atlas.

    With a prototype network (apnet), prototypes can be heard, deleted, merged, renamed, made of clips and tuned; every edit is
    written to DIR/prototypes/edits.jsonl at once. The page is for this machine alone; its address holds a token.
    """
    import webbrowser

    from otoscope.datasets import load_dataset
    from otoscope.explanation.request import resolve_model
    from otoscope.studio import Workspace, serve

    parts = load_dataset(data, root).parts(validation, test)
    workspace = Workspace(resolve_model(model, weights, "cpu").eval(), parts, out, log)

    def ready(address: str) -> None:
        click.echo(one_line(f"the studio is at {address} (stop it with Ctrl-C)"))
        if opens:
            webbrowser.open(address)

    serve(workspace, port, ready=ready)
