from __future__ import annotations

import os

import numpy as np
import pytest
import torch

from otoscope.attribution.background import (
    BackgroundBlend,
    background_size,
    background_waveforms,
)
from otoscope.audio import write_wav
from otoscope.core import registry
from otoscope.core.errors import AudioReadError, ParameterError, UnsupportedError
from otoscope.core.records import Clip
from otoscope.datasets import backgrounds as bg
from otoscope.datasets.backgrounds import Background, BackgroundSound, background_sounds, choose
from worlds import linear, spectral

RATE = 16000


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("OTOSCOPE_CACHE", str(tmp_path / "cache"))
    bg._waveforms.cache_clear()
    yield tmp_path / "cache" / "backgrounds"
    bg._waveforms.cache_clear()


def write(path, level, n=3000, rate=RATE, channels=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_wav(path, Clip(np.full((channels, n), level, np.float32), rate))
    return path


@pytest.fixture
def folder(tmp_path):
    """Two classes, three and one sounds; each sound is its own constant."""
    for name, level in (("rain/a", 0.1), ("rain/b", 0.2), ("rain/c", 0.3), ("dog/deep/d", 0.4)):
        write(tmp_path / "sounds" / f"{name}.wav", level)
    (tmp_path / "sounds" / "rain" / "notes.txt").write_text("no sound")
    (tmp_path / "sounds" / "rain" / ".hidden.wav").write_bytes(b"")
    return tmp_path / "sounds"


def levels(found):
    return sorted(round(float(row[100]), 3) for row in found)


def test_of_each_class_so_many_are_chosen_by_the_seed(ask, noise, folder):
    assert [s.label for s in background_sounds(folder)] == ["dog", "rain", "rain", "rain"]
    seen = set()
    for seed in range(12):
        problem = ask(spectral(), noise(4000), "mel", seed=seed)
        found = background_waveforms(problem, str(folder), 1)
        assert found.shape == (2, 4000)
        torch.testing.assert_close(found, background_waveforms(problem, str(folder), 1))
        assert levels(found)[1] == 0.4
        seen.add(levels(found)[0])
    assert seen == {0.1, 0.2, 0.3}
    assert levels(background_waveforms(problem, str(folder), 10)) == [0.1, 0.2, 0.3, 0.4]
    assert [background_size(str(folder), n) for n in (1, 2, 10)] == [2, 3, 4]
    assert background_size("silence", 5) == 1
    assert background_waveforms(problem, "silence", 5) is None


def test_sounds_in_one_folder_are_one_class(tmp_path):
    for name in "abc":
        write(tmp_path / "flat" / f"{name}.wav", 0.1)
    assert {s.label for s in background_sounds(tmp_path / "flat")} == {""}
    assert background_size(str(tmp_path / "flat"), 2) == 2


def test_sounds_are_brought_to_rate_and_length(ask, noise, tmp_path):
    write(tmp_path / "s" / "short.wav", 0.5, n=1000, rate=8000, channels=2)
    write(tmp_path / "s" / "long.wav", 0.25, n=9000)
    found = background_waveforms(ask(spectral(), noise(4000), "mel"), str(tmp_path / "s"), 2)
    np.testing.assert_allclose(found[0, 100:3900], 0.25, atol=1e-3)
    np.testing.assert_allclose(found[1, 100:1900], 0.5, atol=1e-2)
    np.testing.assert_array_equal(found[1, 2000:], 0)


@pytest.mark.parametrize("head", ["", "path,class\n", "# comment\n\n"])
def test_a_table_lists_sounds_beside_it(folder, head):
    table = folder / "background.csv"
    table.write_text(head + "rain/b.wav, wet\n\ndog/deep/d.wav,dry\n", encoding="utf-8")
    assert background_sounds(table) == [
        BackgroundSound(folder / "dog/deep/d.wav", "dry"), BackgroundSound(folder / "rain/b.wav", "wet")
    ]  # fmt: skip
    table.write_text("rain/b.wav\n", encoding="utf-8")
    assert background_sounds(table) == [BackgroundSound(folder / "rain/b.wav", "")]


def test_what_was_made_is_kept_and_made_anew_when_a_file_changes(ask, noise, folder, cache, monkeypatch):
    problem = ask(spectral(), noise(4000), "mel")
    first = background_waveforms(problem, str(folder), 3)
    (entry,) = cache.rglob("*.npy")
    bg._waveforms.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(bg, "load_audio", lambda path: pytest.fail("decoded again"))
        torch.testing.assert_close(background_waveforms(problem, str(folder), 3), first)
    bg._waveforms.cache_clear()
    entry.write_bytes(entry.read_bytes()[:100])
    torch.testing.assert_close(background_waveforms(problem, str(folder), 3), first)
    write(folder / "dog/deep/d.wav", 0.9)
    os.utime(folder / "dog/deep/d.wav", ns=(1, 1))
    assert levels(background_waveforms(problem, str(folder), 3)) == [0.1, 0.2, 0.3, 0.9]


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(ask, noise, folder, cache):
    cache.parent.write_text("a file where the folder should be")
    assert levels(background_waveforms(ask(spectral(), noise(4000), "mel"), str(folder), 3)) == [0.1, 0.2, 0.3, 0.4]


def test_what_is_wrong_is_named(ask, noise, tmp_path, folder):
    problem = ask(spectral(), noise(4000), "mel")
    with pytest.raises(ParameterError, match="'nowhere' is not there; name a folder of sounds"):
        background_waveforms(problem, "nowhere", 2)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ParameterError, match="empty holds no sound"):
        background_waveforms(problem, str(tmp_path / "empty"), 2)
    table = tmp_path / "table.txt"
    table.write_text("missing.wav,a\n")
    with pytest.raises(ParameterError, match=r"table.txt, line 1: .*missing.wav is not there"):
        background_waveforms(problem, str(table), 2)
    table.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ParameterError, match=r"table.txt cannot be read as text in UTF-8"):
        background_waveforms(problem, str(table), 2)
    (folder / "dog" / "broken.wav").write_bytes(b"no sound at all")
    with pytest.raises(AudioReadError, match=r"broken\.wav"):
        background_waveforms(problem, str(folder), 5)


@pytest.mark.parametrize("domain", ["stft", "mel", "time", "features"])
def test_a_cell_fades_from_the_clip_to_the_background(ask, noise, domain):
    world, x, y = spectral(), noise(4000, 2), torch.from_numpy(noise(4000, 3, seed=9)) * 2
    problem = ask(world, x, domain)
    faded = BackgroundBlend(problem.inspected, y)
    ones, which = problem.inspected.ones(), torch.tensor([2, 0])
    with torch.no_grad():
        heard = torch.from_numpy(x)
        torch.testing.assert_close(faded(ones, None, which), world(heard), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(faded(0 * ones, None, which), world(y[which]), atol=1e-4, rtol=1e-4)
        mask = torch.rand(ones.shape)
        both = faded.synthesise(mask, None, which) + faded.synthesise(1 - mask, None, which)
        whole = (lambda v: v) if problem.inspected.analysis.feeds == "waveform" else world.features
        torch.testing.assert_close(both, whole(heard) + whole(y[which]), atol=1e-4, rtol=1e-4)
    assert problem.inspected.passes == 4


def test_silence_is_the_inspected_itself(ask, noise):
    problem = ask(spectral(), noise(4000, 2), "mel")
    mask = torch.rand(2, *problem.shape)
    faded = BackgroundBlend(problem.inspected, None)
    assert faded.n == 1
    torch.testing.assert_close(faded(mask), problem.inspected(mask), rtol=0, atol=0)
    torch.testing.assert_close(faded(mask[:1], torch.tensor([1])), problem.inspected(mask[:1], torch.tensor([1])))


def test_domains_whose_cells_hang_on_the_clip_have_no_background(ask, noise):
    problem = ask(linear(400), noise(400), "time")
    grid = problem.inspected.analysis.grid
    object.__setattr__(grid, "domain", "components")
    with pytest.raises(UnsupportedError, match=r"'components' has different cells for each clip"):
        BackgroundBlend(problem.inspected, torch.zeros(1, 400))
    assert BackgroundBlend(problem.inspected, None).n == 1


def test_the_choice_keeps_classes_in_order():
    sounds = [BackgroundSound(bg.Path(f"{label}{i}"), label) for label in "ba" for i in range(5)]
    chosen = choose(sounds, 2, 7)
    assert [s.label for s in chosen] == ["a", "a", "b", "b"]
    assert chosen == choose(sounds, 2, 7)
    assert len({tuple(choose(sounds, 2, seed)) for seed in range(10)}) > 3


def test_a_background_goes_through_the_settings_of_a_method(ask, noise, folder):
    background = Background(
        "train", [(folder / "rain/a.wav", "rain"), (folder / "rain/b.wav", "rain"), (folder / "dog/deep/d.wav", "dog")]
    )
    entry = registry.get("method", "gradient_shap")
    settings = entry.settings({"background": background})
    assert settings["background"] is background
    assert registry.format_spec(entry, settings) == "gradient_shap,background=train"
    problem = ask(spectral(), noise(4000), "mel", seed=1)
    found = background_waveforms(problem, background, 1)
    torch.testing.assert_close(found, torch.from_numpy(background.waveforms(1, 1, 16000, 4000).copy()))
    values = entry.target(problem, **settings).values
    assert values.shape == (1, *problem.shape)
