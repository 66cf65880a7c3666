"""Any module, told right: lengths, numbers, labels, steadiness and what is heard are found out, or said."""

from __future__ import annotations

import copy
import logging

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import otoscope
from otoscope.core.errors import OtoscopeError, ParameterError, UnsupportedError

RATE = 8000


class Levels(nn.Module):
    """Log energy below and above 1 kHz, as logits; what stands behind them is up to the children."""

    def logits(self, x):
        power = torch.fft.rfft(x).abs().square()
        half = power.shape[-1] // 4
        return torch.stack([power[:, :half].mean(1), power[:, half:].mean(1)], 1).add(1e-3).log()

    def forward(self, x):
        return self.logits(x)


class One(Levels):
    def forward(self, x):
        low, high = self.logits(x).T
        return (high - low)[:, None]


class Given(Levels):
    """Returns what a function makes of the logits."""

    def __init__(self, made):
        super().__init__()
        self.made = made

    def forward(self, x):
        return self.made(self.logits(x))


def sound(hz=2000.0, seconds=1.0, rate=RATE):
    t = np.arange(round(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * hz * t)).astype(np.float32)


def wrap(module, **more):
    return otoscope.wrap(module, **{"sample_rate": RATE, **more})


def probabilities(classifier, x=None):
    x = torch.from_numpy(sound())[None] if x is None else x
    return classifier.probabilities(classifier(x))


class TestOneScore:
    def test_it_is_a_sigmoid_of_a_name_and_its_absence(self):
        classifier = wrap(One(), labels=["call"])
        assert classifier.labels == ("not call", "call")
        x = torch.from_numpy(sound())[None]
        assert probabilities(classifier)[0, 1].item() == pytest.approx(One()(x).sigmoid().item(), rel=1e-5)

    def test_what_lacks_the_call_does_not_have_it_at_100_percent(self):
        classifier = wrap(One(), labels=["call"])
        p = probabilities(classifier, torch.from_numpy(sound(200.0))[None])
        assert p[0, 1] < 0.01
        explanation = otoscope.explain(sound(200.0), classifier, sample_rate=RATE, method="gradient", target="call")
        assert explanation.heard.of(1)["original"] < 0.01

    @pytest.mark.parametrize(
        ("labels", "names"),
        [
            (["other", "bird"], ("other", "bird")),
            (None, ("negative", "positive")),
            (1, ("negative", "positive")),
            ({0: "bird"}, ("not bird", "bird")),
        ],
    )
    def test_its_names(self, labels, names):
        assert wrap(One(), labels=labels).labels == names

    def test_one_score_without_a_class_axis(self):
        classifier = wrap(Given(lambda z: z[:, 1] - z[:, 0]), labels=["call"])
        assert torch.allclose(probabilities(classifier), probabilities(wrap(One(), labels=["call"])))

    def test_three_names_for_one_score_are_refused(self):
        with pytest.raises(ParameterError, match=r"gives 1 scores, \(batch, 1\), but there are 3 labels"):
            wrap(One(), labels=["a", "b", "c"])


class TestNumbers:
    @pytest.mark.parametrize(
        ("made", "kind", "multilabel"),
        [
            (lambda z: z, "logits", False),
            (lambda z: z.softmax(-1), "probabilities", False),
            (lambda z: z.sigmoid(), "probabilities", True),
            (lambda z: z.log_softmax(-1), "log_probabilities", False),
            (lambda z: z.sigmoid().clamp(0.001, 0.999), "probabilities", True),
            (lambda z: z.detach().softmax(-1), "probabilities", False),
            (lambda z: z.relu(), "logits", False),
        ],
    )
    def test_their_kind_is_found_out_and_nothing_is_squashed_twice(self, made, kind, multilabel, caplog):
        module = Given(made)
        with caplog.at_level(logging.WARNING, "otoscope"):
            classifier = wrap(module, labels=["low", "high"])
        assert classifier.readout.outputs == kind
        assert classifier.multilabel == multilabel
        assert (kind in ("logits",)) != ("outputs" in classifier.info)
        if kind == "probabilities":
            assert "pass outputs= if this is wrong" in caplog.text
            x = torch.from_numpy(sound())[None]
            assert torch.allclose(probabilities(classifier, x), module(x), atol=1e-6)

    def test_small_logits_of_a_dense_layer_are_logits(self):
        """Between 0 and 1 on every probe, and yet no probabilities: the last layer is linear."""

        class Small(Levels):
            def __init__(self):
                super().__init__()
                self.head = nn.Linear(2, 2)
                nn.init.constant_(self.head.weight, 0.001)
                nn.init.constant_(self.head.bias, 0.5)

            def forward(self, x):
                return self.head(self.logits(x))

        classifier = wrap(Small(), labels=["low", "high"])
        assert classifier.readout.outputs == "logits"

    def test_what_is_said_goes(self):
        classifier = wrap(Given(lambda z: z.softmax(-1)), labels=["low", "high"], outputs="logits")
        assert classifier.readout.outputs == "logits"
        assert "outputs" not in classifier.info
        said = wrap(Given(lambda z: z.sigmoid()), labels=2, outputs="probabilities", multilabel=True)
        assert said.multilabel

    def test_exclusive_classes_that_do_not_sum_to_one_are_refused(self):
        with pytest.raises(ParameterError, match=r"do not sum to 1.*multilabel=True"):
            wrap(Given(lambda z: z.sigmoid()), labels=2, multilabel=False)


class TestReturnValues:
    @pytest.mark.parametrize(
        ("made", "more"),
        [
            (lambda z: (z, None), {}),
            (lambda z: {"embedding": z[:, :1], "logits": z}, {}),
            (lambda z: {"a": z * 0, "b": z}, {"output": "b"}),
            (lambda z: z[:, None], {}),
            (lambda z: torch.stack([z, z], 1), {"pool": "mean"}),
            (lambda z: torch.stack([z, z - 50], 1), {"pool": "max"}),
            (lambda z: z.half(), {}),
            (lambda z: z.double(), {}),
        ],
    )
    def test_scores_are_found(self, made, more):
        classifier = wrap(Given(made), labels=["low", "high"], **more)
        x = torch.from_numpy(sound())[None]
        assert torch.allclose(classifier(x), Levels()(x), atol=2e-2)
        assert classifier(x).dtype == torch.float32

    def test_frames_without_a_word_on_pooling_are_refused(self):
        with pytest.raises(OtoscopeError, match="pool='max' or pool='mean'"):
            wrap(Given(lambda z: torch.stack([z, z], 1)), labels=2)


class Conv(nn.Module):
    def __init__(self, classes=3):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv1d(1, 4, 64, stride=16)
        self.head = nn.Linear(4, classes)

    def forward(self, x):
        return self.head(self.conv(x[:, None]).relu().mean(-1))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_modules_of_other_types_get_their_type_and_give_float32(dtype):
    module, plain = Conv().to(dtype), Conv()
    classifier = wrap(module, labels=3)
    x = torch.from_numpy(sound())[None]
    assert classifier(x).dtype == torch.float32
    assert torch.allclose(classifier(x), plain(x), atol=3e-2)
    explanation = otoscope.explain(sound(), classifier, sample_rate=RATE, method="input_x_gradient")
    assert np.isfinite(explanation.attribution.values).all()
    assert next(module.parameters()).dtype == dtype


def test_a_default_type_of_64_bits_changes_nothing():
    wanted = otoscope.explain(sound(), wrap(Conv(), labels=3), sample_rate=RATE, method="lime", target=0)
    module = Conv()
    torch.set_default_dtype(torch.float64)
    try:
        found = otoscope.explain(sound(), wrap(module, labels=3), sample_rate=RATE, method="lime", target=0)
    finally:
        torch.set_default_dtype(torch.float32)
    np.testing.assert_allclose(found.attribution.values, wanted.attribution.values, atol=1e-4)


def test_modules_made_or_called_under_inference_mode_have_gradients():
    with torch.inference_mode():
        module = Conv()
    classifier = wrap(module, labels=3)
    made = otoscope.explain(sound(), classifier, sample_rate=RATE, method="gradient", target=0)
    with torch.inference_mode():
        called = otoscope.explain(sound(), wrap(Conv(), labels=3), sample_rate=RATE, method="gradient", target=0)
    plain = otoscope.explain(sound(), wrap(Conv(), labels=3), sample_rate=RATE, method="gradient", target=0)
    np.testing.assert_allclose(made.attribution.values, plain.attribution.values, rtol=1e-5)
    np.testing.assert_allclose(called.attribution.values, plain.attribution.values, rtol=1e-5)


def test_reentrant_checkpoints_give_the_same_gradient():
    from torch.utils.checkpoint import checkpoint

    class Checkpointed(Conv):
        def forward(self, x):
            hidden = checkpoint(lambda y: self.conv(y).relu(), x[:, None], use_reentrant=True)
            return self.head(hidden.mean(-1))

    values = [
        otoscope.explain(sound(), wrap(m, labels=3), sample_rate=RATE, method=method, target=0).attribution.values
        for method in ("gradient", "grad_cam")
        for m in (Checkpointed(), Conv())
    ]
    np.testing.assert_allclose(values[0], values[1], rtol=1e-5)
    np.testing.assert_allclose(values[2], values[3], rtol=1e-5)


class TestSteadiness:
    def test_dropout_that_never_sleeps_is_told_with_its_size(self, caplog):
        class Noisy(Levels):
            def forward(self, x):
                return functional.dropout(self.logits(x), 0.3, training=True)

        with caplog.at_level(logging.WARNING, "otoscope"):
            classifier = wrap(Noisy(), labels=["low", "high"])
        assert classifier.info["checks"]["repeated"] > 0.05
        assert "answers the same sound differently each time, by up to " in classifier.doubts[0]
        assert caplog.text.count("answers the same sound differently") == 1
        explanation = otoscope.explain(sound(), classifier, sample_rate=RATE, method="gradient")
        verdict = explanation.verdict()
        assert verdict.trust != "good"
        assert classifier.doubts[0] in verdict.warnings
        assert explanation.record()["model"]["info"]["checks"]["repeated"] > 0.05

    def test_batch_norm_without_statistics_hears_one_sound_at_a_time(self):
        class Batch(Levels):
            def __init__(self):
                super().__init__()
                self.norm = nn.BatchNorm1d(2, track_running_stats=False)

            def forward(self, x):
                return self.logits(x) + 3 * self.norm(self.logits(x)) if len(x) > 1 else self.logits(x)

        classifier = wrap(Batch(), labels=["low", "high"])
        assert classifier.one_by_one
        assert "depend on the other sounds of a batch" in classifier.doubts[0]
        x = torch.from_numpy(np.stack([sound(300.0), sound(3000.0)]))
        assert torch.allclose(classifier(x), torch.cat([classifier(x[:1]), classifier(x[1:])]))

    def test_a_state_is_told_and_put_back(self):
        class Stateful(Levels):
            def __init__(self):
                super().__init__()
                self.state = torch.zeros(2)

            def forward(self, x):
                self.state = self.state + 1
                return self.logits(x) * (1 + self.state)

        module = Stateful()
        kept = module.state
        classifier = wrap(module, labels=["low", "high"])
        assert "keeps a state between calls" in classifier.doubts[0]
        otoscope.explain(sound(), classifier, sample_rate=RATE, method="gradient")
        assert module.state is kept
        assert torch.equal(kept, torch.zeros(2))

    def test_a_steady_module_has_no_doubts(self):
        classifier = wrap(Conv(), labels=3)
        assert classifier.doubts == ()
        assert classifier.info["checks"]["repeated"] == 0

    def test_a_logarithm_without_a_floor_is_told(self):
        class NoFloor(Levels):
            def forward(self, x):
                return torch.stack([x.abs().mean(1).log(), x.square().mean(1).log()], 1)

        assert "a logarithm or a root of zero; add a small number" in wrap(NoFloor(), labels=2).doubts[0]


class TestHeard:
    def cropped(self, start, stop):
        class Crop(Conv):
            def forward(self, x):
                return super().forward(x[:, round(start * RATE) : round(stop * RATE)])

        return Crop()

    def test_windows_are_as_long_as_what_is_heard(self, caplog):
        with caplog.at_level(logging.WARNING, "otoscope"):
            classifier = wrap(self.cropped(0, 4), labels=3)
        assert classifier.window_s == pytest.approx(4.0, abs=0.01)
        assert "it hears 0 s to" in caplog.text
        explanation = otoscope.explain(
            sound(seconds=9), classifier, sample_rate=RATE, method="occlusion,patches_time=4"
        )
        assert explanation.n_windows > 1
        assert any(
            "heard in 3 windows of up to 4 s" in note or "windows of up to" in note for note in explanation.notes
        )

    def test_the_middle_of_a_long_sound_is_found(self):
        class Middle(Conv):
            def forward(self, x):
                n = x.shape[-1]
                return super().forward(x[:, n // 2 - RATE : n // 2 + RATE] if n > 2 * RATE else x)

        assert wrap(Middle(), labels=3).window_s == pytest.approx(2.0, abs=0.02)

    def test_a_maximum_over_time_hears_everything(self):
        class Peak(Conv):
            def forward(self, x):
                return self.head(self.conv(x[:, None]).relu().amax(-1))

        assert wrap(Peak(), labels=3).window_s is None

    def test_a_fixed_length_is_found_and_short_sounds_are_padded_and_said(self):
        torch.manual_seed(0)
        classifier = wrap(nn.Linear(3 * RATE, 2), labels=["a", "b"])
        assert (classifier.min_s, classifier.window_s) == (3.0, 3.0)
        explanation = otoscope.explain(sound(seconds=1), classifier, sample_rate=RATE, method="gradient")
        assert any("padded with silence from 1 s to 3 s" in note for note in explanation.notes)
        assert otoscope.explain(sound(seconds=7), classifier, sample_rate=RATE, method="gradient").n_windows >= 3

    def test_an_overlap_is_kept(self):
        classifier = wrap(nn.Linear(3 * RATE, 2), labels=2, window_s=3.0, min_s=3.0, overlap_s=0.0)
        assert otoscope.explain(sound(seconds=9), classifier, sample_rate=RATE, method="gradient").n_windows == 3

    def test_a_least_length_is_found(self):
        class Deep(Conv):
            def forward(self, x):
                return self.head(functional.avg_pool1d(self.conv(x[:, None]).relu(), 250).amax(-1))

        classifier = wrap(Deep(), labels=3)
        assert classifier.min_s == pytest.approx((249 * 16 + 64) / RATE, abs=1e-9)

    @pytest.mark.parametrize(
        "bad",
        [
            {"min_s": 0},
            {"window_s": -1},
            {"min_s": 2, "window_s": 1},
            {"overlap_s": 1.0},
            {"window_s": 1.0, "overlap_s": 1.0},
        ],
    )
    def test_lengths_that_cannot_be(self, bad):
        with pytest.raises(ParameterError):
            wrap(Conv(), labels=3, **bad)


def test_a_module_that_wants_a_spectrogram_is_told_of_front_ends():
    with pytest.raises(ParameterError, match="needs frontend="):
        wrap(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten()), labels=2)


def test_a_module_that_fails_is_told_in_its_own_words():
    class Broken(nn.Module):
        def forward(self, x):
            raise RuntimeError("no licence")

    with pytest.raises(ParameterError, match="RuntimeError: no licence"):
        wrap(Broken(), labels=2)


def test_without_a_check_nothing_is_tried():
    class Counting(Levels):
        calls = 0

        def forward(self, x):
            Counting.calls += 1
            return self.logits(x)

    wrap(Counting(), labels=2, check=False)
    assert Counting.calls == 0


class TestCompiled:
    @pytest.fixture(params=["script", "trace", "freeze", "export"])
    def compiled(self, request):
        module, x = Conv().eval(), torch.from_numpy(sound())[None]
        if request.param == "export":
            time = torch.export.Dim("time", min=200, max=300_000)
            batch = torch.export.Dim("batch", min=1, max=64)
            return torch.export.export(module, (x.repeat(2, 1),), dynamic_shapes=({0: batch, 1: time},)).module()
        if request.param == "trace":
            return torch.jit.trace(module, x)
        scripted = torch.jit.script(module)
        return torch.jit.freeze(scripted) if request.param == "freeze" else scripted

    @pytest.mark.parametrize("method", ["lrp", "guided_backprop", "deep_lift_shap"])
    def test_methods_that_need_the_inside_refuse_it(self, compiled, method):
        with pytest.raises(OtoscopeError, match="compiled"):
            otoscope.explain(sound(), wrap(compiled, labels=3), sample_rate=RATE, method=method)

    def test_the_others_give_what_they_give_of_the_plain_module(self, compiled):
        x = torch.from_numpy(sound())[None]
        classifier = wrap(compiled, labels=3)
        assert torch.allclose(classifier(x), Conv()(x), atol=1e-5)
        for method in ("input_x_gradient", "occlusion"):
            found, plain = (
                otoscope.explain(sound(), c, sample_rate=RATE, method=method, target=1).attribution.values
                for c in (classifier, wrap(Conv(), labels=3))
            )
            np.testing.assert_allclose(found, plain, atol=1e-5 * np.abs(plain).max() + 1e-9)


def test_the_module_is_as_before():
    module = Conv().train()
    before = copy.deepcopy(module.state_dict())
    state = torch.random.get_rng_state()
    wrap(module, labels=3)
    assert module.training
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())
    assert torch.equal(state, torch.random.get_rng_state())


class TestSilentFaults:
    """Each was silently wrong once."""

    @pytest.mark.parametrize(
        "made",
        [
            lambda z: z.softmax(-1)[:, 1:],
            lambda z: (z[:, 1] - z[:, 0]).sigmoid(),
            lambda z: (z[:, 1:] - z[:, :1]).sigmoid().squeeze(),
        ],
    )
    def test_one_probability_is_taken_for_one(self, made):
        module = Given(made)
        classifier = wrap(module, labels=["high"])
        for hz in (300.0, 1990.0, 3000.0):
            x = torch.from_numpy(sound(hz))[None]
            assert probabilities(classifier, x)[0, 1].item() == pytest.approx(module(x).reshape(-1).item(), abs=1e-5)

    def test_attention_pooling_of_probabilities_is_seen(self):
        classifier = wrap(Given(lambda z: (z.sigmoid()[:, None] * torch.tensor([0.5, 0.5])[:, None]).sum(1)), labels=2)
        assert (classifier.readout.outputs, classifier.multilabel) == ("probabilities", True)

    def test_a_softmax_in_16_bits_sums_to_one(self):
        classifier = wrap(Given(lambda z: z.bfloat16().softmax(-1)), labels=2)
        assert (classifier.readout.outputs, classifier.multilabel) == ("probabilities", False)

    def test_probabilities_that_are_said_and_do_not_sum_to_one_are_independent(self):
        module = Given(lambda z: z.sigmoid())
        classifier = wrap(module, labels=2, outputs="probabilities")
        x = torch.from_numpy(sound())[None]
        assert torch.allclose(probabilities(classifier, x), module(x), atol=1e-5)

    def test_one_label_is_a_yes_no_question_also_unchecked(self):
        classifier = wrap(One(), labels=["call"], check=False)
        assert classifier.labels == ("not call", "call")
        assert probabilities(classifier, torch.from_numpy(sound(200.0))[None])[0, 1] < 0.01

    @pytest.mark.parametrize("said", [{"window_s": 3.0}, {"min_s": 3.0}, {"min_s": 3.0, "window_s": 3.0}])
    def test_a_fixed_length_that_is_said_keeps_gradients_and_pads(self, said):
        classifier = wrap(nn.Linear(3 * RATE, 2), labels=2, **said)
        assert (classifier.min_s, classifier.window_s) == (3.0, 3.0)
        assert classifier.differentiable
        otoscope.explain(sound(), classifier, sample_rate=RATE, method="gradient")

    def test_of_several_tensors_the_one_that_fits_the_labels_is_taken(self, caplog):
        made = Given(lambda z: (torch.cat([z, z, z], 1), z))
        assert wrap(made, labels=["low", "high"]).readout.key == 1
        with caplog.at_level(logging.WARNING, "otoscope"):
            wrap(made)
        assert "2 tensors; the first is taken as the scores" in caplog.text

    def test_states_of_any_form_are_put_back(self):
        class Stateful(Levels):
            def __init__(self):
                super().__init__()
                self.h, self.seen, self.count = None, [], 0

            def forward(self, x):
                self.h = x.mean(1) if self.h is None or len(self.h) != len(x) else self.h + x.mean(1)
                self.seen.append(x.detach())
                self.count += 1
                return self.logits(x)

        module = Stateful()
        kept = module.seen
        wrap(module, labels=2)
        assert module.h is None
        assert module.seen is kept
        assert module.seen == []
        assert module.count > 0

    def test_a_batch_of_one_built_in_is_kept_to(self):
        class Single(Levels):
            def forward(self, x):
                return self.logits(x.view(1, -1))

        classifier = wrap(Single(), labels=["low", "high"])
        assert classifier.one_by_one
        assert classifier.doubts == ()
        x = torch.from_numpy(np.stack([sound(300.0), sound(3000.0)]))
        assert torch.allclose(classifier(x), Levels()(x), atol=1e-4)

    def test_a_module_that_fails_on_silence_is_told_and_can_be_explained(self):
        class Picky(Levels):
            def forward(self, x):
                if not x.any():
                    raise ValueError("no sound")
                return self.logits(x)

        classifier = wrap(Picky(), labels=["low", "high"])
        assert "fails on digital silence" in classifier.doubts[0]
        explanation = otoscope.explain(sound(), classifier, sample_rate=RATE, method="input_x_gradient")
        assert "silence" not in explanation.controls
        assert explanation.verdict().trust != "good"

    def test_an_answer_that_does_not_depend_on_the_sound_is_told(self):
        classifier = wrap(Given(lambda z: z * 0 + torch.tensor([1.0, -1.0])), labels=2)
        assert any("does not depend on the sound" in doubt for doubt in classifier.doubts)
        assert classifier.window_s is None

    def test_a_layer_that_is_never_used_is_no_crash(self):
        class Spare(Conv):
            def __init__(self):
                super().__init__()
                self.spare = nn.Conv1d(1, 1, 1)

        classifier = wrap(Spare(), labels=3)
        with pytest.raises(OtoscopeError, match="is not used in a forward pass"):
            otoscope.explain(sound(), classifier, sample_rate=RATE, method="grad_cam")


@pytest.mark.filterwarnings("ignore")
def test_quantised_layers_give_answers_and_no_gradients():
    """Their packed weights are tuples, and their operations leave the input unused, which is not a gradient of 0."""

    class Levels(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.out = nn.Linear(160, 32), nn.Linear(32, 3)

        def forward(self, x):
            return self.out(self.inner(x.unfold(1, 160, 160)).relu().mean(1))

    torch.manual_seed(0)
    plain = Levels().eval()
    quantised = torch.ao.quantization.quantize_dynamic(plain, {nn.Linear}, dtype=torch.qint8)
    model = otoscope.wrap(quantised, sample_rate=16000, labels=["a", "b", "c"], outputs="logits")
    assert not model.differentiable
    assert model.digest() == model.digest()
    other = torch.ao.quantization.quantize_dynamic(Levels().eval(), {nn.Linear}, dtype=torch.qint8)
    assert otoscope.wrap(other, sample_rate=16000, labels=3, outputs="logits").digest() != model.digest()
    x = 0.1 * np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    assert otoscope.explain(x, model, sample_rate=16000).request.method == "mask_evolution"
    for method in ("gradient", "integrated_gradients", "mask_optimisation"):
        with pytest.raises(UnsupportedError, match="gives no gradients"):
            otoscope.explain(x, model, sample_rate=16000, method=method)
