"""What all convolutional and recurrent classics must do; what is special of each is in its own file."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import otoscope
from otoscope.classifiers import build
from otoscope.classifiers.weights import load_body
from otoscope.core import registry
from otoscope.core.errors import OtoscopeError, WeightsError

TINY = {
    "cnn6": "cnn6,width=0.07,features=mel64_16k",
    "cnn10": "cnn10,width=0.07,features=mel64_16k",
    "cnn14": "cnn14,width=0.07,features=mel64_16k",
    "cnn14 on an STFT": "cnn14,width=0.07,features=stft257",
    "sb_cnn": "sb_cnn,sample_rate=8000,n_fft=256,hop=128,n_mels=40,frames=60",
    "attention_rnn": "attention_rnn,sample_rate=8000,n_fft=256,hop=128,n_mels=20,units=8",
    "apnet": "apnet,sample_rate=8000,n_fft=256,hop=128,n_mels=16,frames=60,channels=4,prototypes=6",
    "attention_rnn as published": "attention_rnn,sample_rate=8000,n_fft=256,hop=128,n_mels=20,units=8,published=true,top_db=80",
    "vgg5": "vgg5,channels=6",
    "vgg5 on log1p": "vgg5,channels=6,compress=log1p",
}
LABELS = ["dog", "siren", "rain"]


def make(name, seed=0):
    torch.manual_seed(seed)
    return otoscope.load_classifier(TINY[name], "random", labels=LABELS)


@pytest.fixture(params=TINY)
def model(request):
    return make(request.param)


def noise(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_batch_gives_what_single_clips_give(model):
    waveform = noise(4, model.sample_rate)
    with torch.no_grad():
        single = torch.cat([model(row[None]) for row in waveform])
        torch.testing.assert_close(model(waveform), single, rtol=1e-4, atol=1e-5)


def test_different_sounds_give_different_logits(model):
    with torch.no_grad():
        logits = model(torch.cat([noise(1, model.sample_rate), 5 * noise(1, model.sample_rate, seed=1)]))
    assert float((logits[0] - logits[1]).abs().max()) > 1e-4


def test_sounds_of_any_length_are_heard(model):
    shortest = model.minimum_length
    for n in (1, shortest - 1, shortest, shortest + 1, 2 * shortest + 17):
        with torch.no_grad():
            assert torch.isfinite(model(torch.full((1, n), 0.1))).all()


def test_the_minimum_length_is_what_the_network_needs(model):
    """A sound that is shorter is padded with silence up to it: the logits are those of the padded sound."""
    short = noise(1, model.minimum_length // 2)
    padded = torch.nn.functional.pad(short, (0, model.minimum_length - short.shape[1]))
    with torch.no_grad():
        torch.testing.assert_close(model(short), model(padded), rtol=0, atol=0)


@pytest.mark.parametrize("level", [0.0, 1.0])
def test_gradients_are_finite_on_sound_and_on_silence(model, level):
    waveform = (level * noise(2, model.sample_rate)).requires_grad_(True)
    (gradient,) = torch.autograd.grad(model(waveform)[:, 0].sum(), waveform)
    assert torch.isfinite(gradient).all()
    if level:
        assert (gradient.abs().amax(1) > 0).all()
    parameters = {
        n: p for n, p in model.network.named_parameters() if not n.startswith("decoder.")
    }  # APNet's has no part in it
    for gradient in torch.autograd.grad(model(waveform).square().sum(), list(parameters.values())):
        assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("method", ["gradient", "grad_cam"])
@pytest.mark.parametrize("domain", ["features", "mel,bands=12,ms=100"])
def test_explanations_run_end_to_end(model, method, domain):
    sound = noise(model.sample_rate).numpy()
    done = otoscope.explain(
        sound, model, method=method, domain=domain, target="siren", sample_rate=model.sample_rate, device="cpu"
    )
    assert np.isfinite(done.attribution.values).all()
    assert np.abs(done.attribution.values).max() > 0
    assert done.target.label == "siren"


def test_a_saved_model_is_the_same_model(model, tmp_path):
    with torch.no_grad():
        model.network.train()(model.features(noise(4, model.sample_rate)))  # running statistics of its own
    again = otoscope.load_classifier(model.eval().save_pretrained(tmp_path / "folder"))
    assert again.digest() == model.digest()
    assert again.config == model.config
    with torch.no_grad():
        torch.testing.assert_close(again(noise(2, 9000)), model(noise(2, 9000)), rtol=0, atol=0)


def test_weights_of_another_network_are_refused(model, tmp_path):
    other = otoscope.load_classifier("mn,width=0.1", "random", labels=3)
    file = other.save_pretrained(tmp_path) / "model.safetensors"
    spec = registry.format_spec(registry.get("architecture", model.config["architecture"]), model.config["settings"])
    with pytest.raises(WeightsError, match="do not fit this network"):
        otoscope.load_classifier(spec, file, labels=LABELS)


def test_the_head_is_what_depends_on_the_classes(model):
    other = build(model.config["architecture"], 5, settings=model.config["settings"])
    load_body(other.network, model.network.state_dict(), model.head, "another task")
    body = [k for k in model.network.state_dict() if not k.startswith(model.head)]
    assert all(torch.equal(model.network.state_dict()[k], other.network.state_dict()[k]) for k in body)


def test_every_layer_that_is_declared_exists_and_has_its_axes(model):
    """Channels, frequencies and frames of what each layer gives, against what its declaration says."""
    layers = dict(model.network.named_modules())
    outputs = {}
    handles = [
        layers[name].register_forward_hook(lambda _m, _i, out, name=name: outputs.update({name: out}))
        for name in model.axes
    ]
    sound = noise(1, 2 * model.sample_rate)
    n_bands, n_frames = model.features(sound).shape[2:]
    with torch.no_grad():
        model(sound)
    for handle in handles:
        handle.remove()
    assert model.cam_layer in outputs
    assert set(outputs) == set(model.axes)
    for name, output in outputs.items():
        maps = model.maps(name, output)
        if maps.ndim == 3:  # no frequency
            assert maps.shape[-1] == n_frames
            continue
        assert abs(n_bands / maps.shape[2] - n_frames / maps.shape[3]) < 0.55 * n_frames / maps.shape[3], name
        assert maps.shape[2] <= n_bands
        assert maps.shape[3] <= n_frames


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("cnn6,width=0", r"width must lie in \[0.05, 4\]"),
        ("cnn14,features=mfcc", "mfcc"),
        ("sb_cnn,frames=51", r"frames must lie in \[52, 4096\]"),
        ("sb_cnn,n_fft=255", "n_fft must be even"),
        ("attention_rnn,units=0", r"units must lie in \[1, 1024\]"),
        ("vgg5,channels=0", r"channels must lie in \[1, 1024\]"),
        ("vgg5,compress=sqrt", "sqrt"),
    ],
)
def test_absurd_settings_are_refused(spec, said):
    with pytest.raises(OtoscopeError, match=said):
        otoscope.load_classifier(spec, "random", labels=3)
