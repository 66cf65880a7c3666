"""Auralisation: which way of asking serves a feature best, how fast many features are heard, and what atlases say.

    python benchmarks/auralisation.py ways runs/vgg5/model --layers block1 block3 --root ESC-50-master
    python benchmarks/auralisation.py speed
    python benchmarks/auralisation.py atlases atlas-vgg5 atlas-mn04
    python benchmarks/auralisation.py music runs/vgg5/model --notes instruments
    python benchmarks/auralisation.py sounds runs/vgg5/model block4 17 --notes instruments --out docs/sounds
    python benchmarks/auralisation.py trainings runs/vgg5/model runs/vgg5-2/model

``ways``: for some clips, the strongest features of each layer, by each way; means over features with 95 % bootstrap intervals over
clips. Controls: the energy of the sound, random cells, the sound that was made for another feature of the layer, and the sound that
the same network with shuffled weights makes.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

import otoscope
from otoscope.attribution.deconvolution import BATCH, deconvolve
from otoscope.audio import encode, open_audio
from otoscope.auralisation import layer_responses, layer_sounds
from otoscope.auralisation.atlas import default_layers
from otoscope.auralisation.auralise import Way, hear_feature
from otoscope.auralisation.measures import SILENT, feature_responses, measure_feature
from otoscope.auralisation.named_layers import beside_twin, name_layers
from otoscope.auralisation.naming import NO_RESPONSE, is_named
from otoscope.classifiers import Classifier, build
from otoscope.classifiers.layer_features import layer_features
from otoscope.datasets import Notes, load_dataset
from otoscope.datasets.records import spread
from otoscope.datasets.scenes import Scene, make_scene
from otoscope.metrics import bootstrap
from otoscope.surgery import randomised

WAYS = (
    "deconvolution", "guided_backprop", "gradient", "input_x_gradient", "lrp", "grad_cam", "mask_optimisation", "energy", "random",
)  # fmt: skip
MEASURES = ("kept", "removed", "selectivity", "selectivity_removed")


def random_twin(classifier: Classifier, seed: int) -> Classifier:
    """The same network with the weights of each layer shuffled."""
    import copy

    twin = copy.deepcopy(classifier)
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in twin.network.parameters():
            flat = parameter.flatten()
            parameter.copy_(flat[torch.randperm(len(flat), generator=rng)].reshape(parameter.shape))
    return twin


def rows_of(
    classifier: Classifier, layer: str, file: Path, ways: Sequence[str], top: int, mask: str | None, seed: int
) -> list[dict[str, object]]:
    """Measures of the strongest features of one clip, by each way and control."""
    heard, sound = layer_features(classifier, layer), open_audio(file)
    twin = layer_features(random_twin(classifier, seed), layer)
    responses = feature_responses(heard, sound)
    numbers = np.argsort(-responses)[:top].tolist()
    rows: list[dict[str, object]] = []

    def add(way: str, number: int, measures: object) -> None:
        rows.append({"way": way, "layer": layer, "clip": file.name, "feature": number, **vars(measures)})

    for way in ways:
        for number in numbers:
            made = hear_feature(heard, sound, number, Way(way, None, mask), seed, 16, responses)
            if made.measures is not None and made.explanation is not None:
                add(way, number, made.measures)
                if way == "deconvolution":
                    parts = [feature_responses(heard, p) for p in (made.explanation.kept, made.explanation.removed)]
                    other = int(np.random.default_rng([seed, number]).choice([n for n in numbers if n != number]))
                    add("deconvolution, another feature", other, measure_feature(responses, *parts, other))
                    blind = hear_feature(twin, sound, number, Way(way, None, mask), seed)
                    if blind.explanation is not None:
                        parts = [
                            feature_responses(heard, p) for p in (blind.explanation.kept, blind.explanation.removed)
                        ]
                        add("deconvolution, random weights", number, measure_feature(responses, *parts, number))
    return rows


def ways(options: argparse.Namespace) -> None:
    """The table of ways."""
    classifier = otoscope.load_classifier(options.model, options.weights).eval()
    data = load_dataset(options.data, options.root)
    rows: list[dict[str, object]] = []
    for example in spread(data.examples, options.clips):
        for layer in options.layers:
            rows += rows_of(classifier, layer, example.path, options.ways, options.top, options.mask, options.seed)
        print(f"{example.path.name} done", flush=True)
    print(
        "\n| Layer | Way | Kept | Removed | Selectivity of the kept | of the removed |\n| --- | --- | --- | --- | --- | --- |"
    )
    for layer in options.layers:
        for way in dict.fromkeys(str(r["way"]) for r in rows):
            some = [r for r in rows if (r["layer"], r["way"]) == (layer, way)]
            cells = []
            for measure in MEASURES:
                values = np.array([float(r[measure]) for r in some])  # type: ignore[arg-type]
                found = bootstrap(values, clusters=np.array([str(r["clip"]) for r in some]))
                cells.append(f"{found.value:.2f} ({found.low:.2f}–{found.high:.2f})")
            print(f"| {layer} | {way} | " + " | ".join(cells) + " |")
    if options.json:
        Path(options.json).write_text(json.dumps(rows, indent=1))


def speed(_options: argparse.Namespace) -> None:
    """All 320 features of VGG-5 for a clip of four seconds, beside the passes that they need and plain loops.

    Maps need a backward pass for each feature; sounds, besides, a forward pass for the map and one each for the kept and the
    removed sound, which are heard again.
    """
    torch.manual_seed(0)
    model = build("vgg5", 2).eval()
    clip = otoscope.Clip((0.1 * torch.randn(1, 4 * 11025)).numpy().copy(), 11025)
    features = [layer_features(model, f"block{i}") for i in range(1, 6)]
    numbers = [np.flatnonzero(feature_responses(one, clip) > SILENT).tolist() for one in features]
    n = sum(map(len, numbers))
    rows: dict[str, list[float]] = {"maps": [], "bare maps": [], "sounds": [], "bare sounds": []}
    for _ in range(3):
        for name, work in (("maps", _maps), ("bare maps", _bare_maps), ("sounds", _sounds), ("bare sounds", _bare)):
            start = time.perf_counter()
            for one, some in zip(features, numbers, strict=True):
                work(one, clip, some)
            rows[name].append(time.perf_counter() - start)
            print(f"{name}: {rows[name][-1]:.1f} s", flush=True)
    start = time.perf_counter()
    loops = _loops(model, torch.from_numpy(clip.samples[0].copy()))
    plain = sum(len(some) * _work(depth) for depth, some in enumerate(numbers, 1)) / loops
    best = {name: min(found) for name, found in rows.items()}
    ratios = [np.array(rows[a]) / np.array(rows[b]) for a, b in (("maps", "bare maps"), ("sounds", "bare sounds"))]
    print(json.dumps({
        "features that respond": n, **{f"{name}, s": value for name, value in best.items()},
        "maps over the bare passes": float(np.median(ratios[0])), "sounds over the bare passes": float(np.median(ratios[1])),
        "multiply-adds a second of loops": loops, "measured for, s": time.perf_counter() - start,
        "plain loops for all maps, s (extrapolated)": plain, "times as fast, sounds included": plain / best["sounds"],
    }, indent=1))  # fmt: skip


def _maps(features: Classifier, clip: otoscope.Clip, numbers: list[int]) -> None:
    deconvolve(features, torch.from_numpy(clip.samples[0].copy()), numbers)


def _sounds(features: Classifier, clip: otoscope.Clip, numbers: list[int]) -> None:
    if any(one.kept is None for one in layer_sounds(features, clip, numbers)):
        raise RuntimeError("some features have no sound, so this would not measure all of them")


def _bare_maps(features: Classifier, clip: otoscope.Clip, numbers: list[int]) -> None:
    given = features.features(torch.from_numpy(clip.samples.copy())).repeat(BATCH, 1, 1, 1).requires_grad_()
    maps = features.network.maps(given)
    for k in range(0, len(numbers), BATCH):
        torch.autograd.grad(maps, given, torch.ones_like(maps), retain_graph=k + BATCH < len(numbers))


def _bare(features: Classifier, clip: otoscope.Clip, numbers: list[int]) -> None:
    for k in range(0, len(numbers), BATCH):
        waves = torch.from_numpy(clip.samples.copy()).repeat(len(numbers[k : k + BATCH]), 1)
        given = features.features(waves).requires_grad_()
        logits = features.network(given)
        torch.autograd.grad(logits.sum(), given)
        with torch.no_grad():
            for _part in ("kept", "removed"):
                features(waves)


def _work(depth: int) -> float:
    """Multiply-adds of one forward and one backward pass through so many blocks."""
    sizes = [(257, 171), (128, 85), (64, 42), (32, 21), (16, 10)]
    return sum(2 * f * t * 9 * (1 if i == 0 else 64) * 64 for i, (f, t) in enumerate(sizes[:depth]))


def _loops(model: Classifier, wave: torch.Tensor) -> float:
    """Multiply-adds a second of a convolution in plain loops, over a corner of the first map."""
    x = model.features(wave[None])[0, 0].numpy()
    weight = model.network.block1.conv.weight.detach().numpy()  # type: ignore[union-attr]
    start, done = time.perf_counter(), 0
    for f in range(1, 9):
        for t in range(1, 33):
            for o in range(8):
                total = 0.0
                for u in range(3):
                    for v in range(3):
                        total += weight[o, 0, u, v] * x[f + u - 1, t + v - 1]
                        done += 1
    return done / (time.perf_counter() - start)


def atlases(options: argparse.Namespace) -> None:
    """Names, stability and drives of atlases."""
    words = "Network|Layer|Features|Named|Same by other stimuli|Dead|Near twins|Median explained|Key|Kind|Timbre"
    head = words.split("|")
    print("| " + " | ".join(head) + " |\n| " + " | ".join(["---"] * len(head)) + " |")
    for folder in options.folders:
        atlas = json.loads((Path(folder) / "atlas.json").read_text())
        for layer in atlas["layers"]:
            f = layer["features"]
            named = [one for one in f if is_named(one["name"])]
            drives = [f"{d['drive']:.2f} ({d['low']:.2f}–{d['high']:.2f})" for d in layer["drives"].values()]
            numbers = [
                len(f),
                len(named),
                sum(one["stable"] for one in named),
                sum(one["name"] == NO_RESPONSE for one in f),
            ]
            numbers.append(sum(one["twin"] >= 0 for one in f))
            explained = f"{np.median([one['explained'] for one in f]):.2f}"
            print(
                f"| {Path(folder).name} | {layer['name']} | "
                + " | ".join([*map(str, numbers), explained, *drives])
                + " |"
            )


def trainings(options: argparse.Namespace) -> None:
    """For each layer, how alike the closest features of two trainings are, and whether they have one name.

    The control is the second network with noise for weights, of each layer's own mean and spread.
    """
    own, twin = (otoscope.load_classifier(m).eval() for m in (options.model, options.twin))
    layers = options.layers or default_layers(own)
    notes = Notes(options.notes) if options.notes else None
    print("| Layer | Features | Named | Correlation with the closest | untrained | Same name there | untrained |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder, randomised(twin.network, [""], seed=0):
        untrained = name_layers(twin, layers, 0, Path(folder) / "untrained", notes)
    with tempfile.TemporaryDirectory() as folder:
        first = name_layers(own, layers, 0, Path(folder) / "own", notes)
        second = name_layers(twin, layers, 0, Path(folder) / "twin", notes)
    for layer in layers:
        named = [i for i, f in enumerate(first.names[layer]) if is_named(f["name"])]
        cells = []
        for key in ("correlation", "same"):
            for other in (second, untrained):
                rows = beside_twin(first, other, layer)
                some = rows if key == "correlation" else [rows[i] for i in named]
                values = np.array([float(row[key]) for row in some])
                found = bootstrap(values) if len(values) else None
                cells.append("–" if found is None else f"{found.value:.2f} ({found.low:.2f}–{found.high:.2f})")
        print(f"| {layer} | {len(first.names[layer])} | {len(named)} | " + " | ".join(cells) + " |")


STEMS = ("kick_drum", "hi_hat", "bass_line", "chord_pad")


def music(options: argparse.Namespace) -> None:
    """For each layer and instrument of a piece: the feature that follows it best, chosen on one piece, judged on another."""
    classifier = otoscope.load_classifier(options.model, options.weights).eval()
    layers = options.layers or default_layers(classifier)
    notes = Notes(options.notes) if options.notes else None
    pieces = [piece(classifier.sample_rate, seed, notes) for seed in (0, 1)]
    heard = [layer_responses(classifier, layers, [p.clip.samples[0]]) for p in pieces]
    print(
        "| Layer | " + " | ".join(s.replace("_", " ") for s in STEMS) + " |\n| --- | " + " | ".join(["---"] * 4) + " |"
    )
    for name in ["the sound itself", *layers]:
        cells = []
        for stem in STEMS:
            if name == "the sound itself":
                cells.append(f"{followed(pieces[1].clip.samples[0], pieces[1].stem(stem).samples, 172):.2f}")
                continue
            first, second = (h[name].profile[0] for h in heard)
            scores = [followed(one, pieces[0].stem(stem).samples, first.shape[1]) for one in first]
            best = int(np.nanargmax(scores))
            cells.append(
                f"{followed(second[best], pieces[1].stem(stem).samples, second.shape[1]):.2f} (feature {best})"
            )
        print(f"| {name} | " + " | ".join(cells) + " |")


def sounds(options: argparse.Namespace) -> None:
    """The piece that features were judged on, and what one feature responds to in it, as files; correlations with the stems."""
    classifier = otoscope.load_classifier(options.model, options.weights).eval()
    notes = Notes(options.notes) if options.notes else None
    scene, out = piece(classifier.sample_rate, 1, notes), Path(options.out)
    features = layer_features(classifier, options.layer)
    out.mkdir(parents=True, exist_ok=True)
    (out / "piece.ogg").write_bytes(encode(scene.clip.samples, scene.clip.sample_rate, "OGG")[0])
    for way in options.ways:
        (one,) = layer_sounds(features, scene.clip, [options.feature], Way(way))
        if one.kept is None or one.measures is None:
            raise RuntimeError("the feature does not respond to the piece")
        file = out / f"{options.name or classifier.name}-{options.layer}-{options.feature}-{way}.ogg"
        file.write_bytes(encode(one.kept, scene.clip.sample_rate, "OGG")[0])
        stems = {s: f"{followed(one.kept[0], scene.stem(s).samples, 172):.2f}" for s in STEMS}
        print(
            f"{file.name}: kept {one.measures.kept:.2f}, selectivity {one.measures.selectivity:.2f}; level follows {stems}"
        )


def piece(sample_rate: int, seed: int, notes: Notes | None = None) -> Scene:
    """Eight seconds of drums, bass and chords; the chords leave out every second bar, the bass every third."""
    events = {"chord_pad": [(0.0, 2.0), (4.0, 6.0)], "bass_line": [(1.0, 4.0), (5.0, 8.0)]}
    events |= {"kick_drum": [(0.0, 3.0), (4.5, 8.0)], "hi_hat": [(2.0, 7.0)]}
    return make_scene(STEMS, 8.0, sample_rate, snr_db=0.0, seed=seed, events=events, notes=notes)


def followed(profile: np.ndarray, stem: np.ndarray, frames: int) -> float:
    """Correlation of a profile (or the level of a sound) over time and the level of a stem, in so many frames."""

    def level(x: np.ndarray) -> np.ndarray:
        edges = np.linspace(0, len(x), frames + 1).astype(int)
        return np.array([np.sqrt((x[a:b].astype(float) ** 2).mean()) for a, b in itertools.pairwise(edges)])

    own = profile if len(profile) == frames else level(profile)
    return float(np.corrcoef(own, level(stem))[0, 1]) if own.std() > 0 else float("nan")


def main() -> None:
    """Parse and run one part."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parts = parser.add_subparsers(required=True)
    one = parts.add_parser("ways")
    one.add_argument("model")
    one.add_argument("--weights", default="published")
    one.add_argument("--data", default="esc50,esc10=true")
    one.add_argument("--root", required=True)
    one.add_argument("--layers", nargs="+", required=True)
    one.add_argument("--ways", nargs="+", default=list(WAYS))
    one.add_argument("--clips", type=int, default=10)
    one.add_argument("--top", type=int, default=3)
    one.add_argument("--mask", default=None)
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--json", default="")
    one.set_defaults(run=ways)
    parts.add_parser("speed").set_defaults(run=speed)
    two = parts.add_parser("atlases")
    two.add_argument("folders", nargs="+")
    two.set_defaults(run=atlases)
    three = parts.add_parser("music")
    three.add_argument("model")
    three.add_argument("--weights", default="published")
    three.add_argument("--layers", nargs="+", default=[])
    three.add_argument("--notes", default="", help="folder of the data set instruments")
    three.set_defaults(run=music)
    five = parts.add_parser("sounds")
    five.add_argument("model")
    five.add_argument("layer")
    five.add_argument("feature", type=int)
    five.add_argument("--weights", default="published")
    five.add_argument("--ways", nargs="+", default=["deconvolution", "mask_optimisation"])
    five.add_argument("--notes", default="", help="folder of the data set instruments")
    five.add_argument("--name", default="", help="of the model, in the files' names")
    five.add_argument("--out", required=True)
    five.set_defaults(run=sounds)
    four = parts.add_parser("trainings")
    four.add_argument("model")
    four.add_argument("twin")
    four.add_argument("--layers", nargs="+", default=[])
    four.add_argument("--notes", default="", help="folder of the data set instruments")
    four.set_defaults(run=trainings)
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
