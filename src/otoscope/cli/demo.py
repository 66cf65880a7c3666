"""`otoscope demo`."""

from __future__ import annotations

import click


@click.command()
@click.option("--out", default="demo", show_default=True, metavar="DIR", help="Output folder.")
def demo(out: str) -> None:
    """Explain a synthetic scene of two sounds with the built-in classifier."""
    from pathlib import Path

    from otoscope.audio import write_wav
    from otoscope.datasets.scenes import demo_scene
    from otoscope.explanation import explain as explain_clip

    scene = demo_scene()
    explanation = explain_clip(scene.clip, progress=True)
    files = explanation.save(out)
    for stem in scene.stems:
        write_wav(Path(out) / f"truth-{stem.label}.wav", stem.samples[None], scene.clip.sample_rate)
    heard, verdict = explanation.heard.of(explanation.target.index), explanation.verdict()
    click.echo(
        f"The scene: {' and '.join(stem.label for stem in scene.stems)}, {scene.snr_db:g} dB apart, seed {scene.seed}."
    )
    click.echo(verdict.sentence)
    click.echo(
        f"Trust in the explanation: {verdict.trust}." + "".join(f" {w}" for w in (*verdict.warnings, *verdict.answer))
    )
    click.echo(f"{'part':<10}{'p(' + explanation.target.label + ')':>16}")
    for part, p in heard.items():
        click.echo(f"{part:<10}{p:>16.3f}")
    click.echo(f"Ground truth, for comparison: {', '.join(f'truth-{stem.label}.wav' for stem in scene.stems)} in {out}")
    click.echo(f"Open the report in a browser: {files['report']}")
