"""Models of transformers in memory, and pipelines: the same as from their folder, and never changed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import otoscope
from hf_models import LABELS, save_model, signal
from otoscope.core.errors import ParameterError, UnsupportedError

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module", params=["ast", "wav2vec2", "whisper"])
def folder(request, tmp_path_factory):
    return save_model(request.param, tmp_path_factory.mktemp("hf") / request.param)


def in_memory(folder):
    model = transformers.AutoModelForAudioClassification.from_pretrained(folder).train()
    return model, transformers.AutoFeatureExtractor.from_pretrained(folder)


def test_a_model_with_its_extractor_is_the_model_from_its_folder(folder):
    model, extractor = in_memory(folder)
    found = otoscope.wrap(model, frontend=extractor)
    wanted = otoscope.load_classifier(f"hf:{folder}")
    x = torch.from_numpy(signal(16000))[None]
    torch.testing.assert_close(found(x), wanted(x))
    assert (found.labels, found.sample_rate, found.window_s) == (LABELS, 16000, wanted.window_s)
    assert model.training  # the caller's own stays as it was
    assert "checks" in found.info


def test_a_pipeline(folder):
    model, extractor = in_memory(folder)
    pipeline = transformers.pipeline("audio-classification", model=model.eval(), feature_extractor=extractor)
    found = otoscope.wrap(pipeline)
    x = signal(16000)
    probabilities = found.probabilities(found(torch.from_numpy(x)[None]))[0]
    said = {row["label"]: row["score"] for row in pipeline(x, top_k=3)}
    np.testing.assert_allclose(probabilities.detach(), [said[label] for label in found.labels], atol=1e-3)
    assert otoscope.explain(x, found, sample_rate=16000, method="gradient").target.label in LABELS
    with pytest.raises(ParameterError, match="listens at 16000 Hz and has 3 labels of its own"):
        otoscope.wrap(pipeline, sample_rate=8000)


def test_what_classifies_no_sounds_is_refused(folder):
    _, extractor = in_memory(folder)
    other = transformers.BertModel(
        transformers.BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    )
    with pytest.raises(UnsupportedError, match="is a BertModel, which does not classify sounds"):
        otoscope.wrap(other, frontend=extractor)


def test_one_logit_is_a_class_and_its_absence(tmp_path):
    folder = save_model("wav2vec2", tmp_path / "one", id2label={0: "call"}, label2id={"call": 0})
    model = transformers.AutoModelForAudioClassification.from_pretrained(folder).eval()
    x = torch.from_numpy(signal(16000))[None]
    found = otoscope.load_classifier(f"hf:{folder}")
    assert found.labels == ("not call", "call")
    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    inputs = extractor(x[0].numpy(), sampling_rate=16000, return_tensors="pt")
    with torch.no_grad():
        wanted = model(**inputs).logits.sigmoid()[0, 0]
    torch.testing.assert_close(
        found.probabilities(found(x))[0].detach(), torch.stack([1 - wanted, wanted]), atol=1e-4, rtol=0
    )


def test_clap_needs_something_to_compare_with(tmp_path):
    folder = save_model("clap", tmp_path / "clap")
    with pytest.raises(ParameterError, match="at least two different texts"):
        otoscope.load_classifier(f"hf:{folder}", labels=["a dog"])


def test_a_model_that_hears_a_part_gets_windows(tmp_path):
    """Of five seconds, this AST takes the first 1.06; what sounds later is heard in later windows."""
    found = otoscope.load_classifier(f"hf:{save_model('ast', tmp_path / 'ast')}")
    x = np.zeros(5 * 16000, np.float32)
    x[60000:70000] = signal(10000)
    explanation = otoscope.explain(x, found, sample_rate=16000, method="gradient")
    by_frame = np.abs(explanation.attribution.values).sum(0)
    times = explanation.attribution.grid.times
    assert by_frame[(times > 3.7) & (times < 4.4)].sum() > 0.9 * by_frame.sum()
