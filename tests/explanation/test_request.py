"""What is asked for is checked before anything runs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from otoscope.core.errors import ParameterError, UnknownNameError, WeightsError
from otoscope.explanation.request import make_request, resolve_model
from worlds import band_energy


def request(**changes):
    asked = {"method": "rise", "domain": "mel", "mask": "positive", "target": None, "seed": 0, "batch_size": 16}
    return make_request(**{**asked, **changes})


def test_a_request_is_spelled_so_that_it_can_be_asked_again():
    first = request(method="rise,masks=7 , keep=0.25", domain="mel,bands=8", mask="topk:0.25,smooth_time=0.05")
    assert first.spec == {
        "method": "rise,masks=7,keep=0.25",
        "domain": "mel,bands=8",
        "mask": "topk:0.25,smooth_time=0.05",
    }
    again = request(**first.spec)
    assert again.spec == first.spec
    assert again.method_settings == first.method_settings
    assert again.mask == first.mask
    assert again.domain.settings == first.domain.settings


def test_defaults_are_not_spec():
    assert request(method="rise,masks=500").spec["method"] == "rise"


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"method": "rize"}, UnknownNameError, "did you mean 'rise'"),
        ({"method": "mel"}, UnknownNameError, "unknown method 'mel'"),
        ({"method": ""}, ParameterError, "NAME"),
        ({"method": "rise,mask=3"}, UnknownNameError, "'masks'"),
        ({"method": "rise,masks"}, ParameterError, "key=value"),
        ({"method": "rise,masks=-3"}, ParameterError, r"\[2, 100000\]"),
        ({"method": "rise,masks=nan"}, ParameterError, "masks must be a int"),
        ({"method": "rise,keep=nan"}, ParameterError, "keep must lie in"),
        ({"domain": "mell"}, UnknownNameError, "'mel'"),
        ({"domain": "mel,bands=0"}, ParameterError, "bands must lie in"),
        ({"domain": "mel,ms=inf"}, ParameterError, "ms must lie in"),
        ({"mask": "topkk:0.3"}, UnknownNameError, "'topk'"),
        ({"mask": ",,"}, UnknownNameError, "unknown mask ''"),
        ({"mask": "topk:2"}, ParameterError, "keep must lie in"),
        ({"mask": "topk:0.3:0.2"}, ParameterError, "takes keep"),
        ({"mask": "topk:"}, ParameterError, "keep must be"),
        ({"seed": -1}, ParameterError, "seed"),
        ({"seed": 1.0}, ParameterError, "seed"),
        ({"seed": 2**40}, ParameterError, "seed"),
        ({"batch_size": 0}, ParameterError, "batch_size"),
        ({"batch_size": True}, ParameterError, "batch_size"),
        ({"target": 1.0}, ParameterError, "target"),
        ({"target": b"dog"}, ParameterError, "target"),
    ],
)
def test_wrong_requests(changes, error, said):
    with pytest.raises(error, match=said) as caught:
        request(**changes)
    assert "\n" not in str(caught.value)


def test_a_seed_that_is_too_large_is_told_the_limit():
    with pytest.raises(ParameterError, match=str(2**31 - 1)):
        request(seed=2**31)


def test_numpy_numbers_are_numbers():
    made = request(seed=np.int64(3), batch_size=np.int32(2), target=np.int64(1))
    assert (made.seed, made.batch_size, made.target) == (3, 2, 1)


def test_models():
    model = band_energy()
    assert resolve_model(model) is model
    assert resolve_model(model, device="cpu") is model
    for wrong, said in (
        (torch.nn.Linear(2, 2), "otoscope.wrap"),
        (5, "got int"),
        (None, "got NoneType"),
        (lambda x: x, "got function"),
    ):
        with pytest.raises(ParameterError, match=said):
            resolve_model(wrong)
    with pytest.raises(ParameterError, match="has its own already"):
        resolve_model(model, weights="x.pt")
    with pytest.raises(UnknownNameError, match="'mn10_as'"):
        resolve_model("mn10-as")
    with pytest.raises(WeightsError, match="not a model folder"):
        resolve_model("/nowhere/at/all")


@pytest.mark.parametrize("device", ["gpu", "", "cpu:x", "cuda:99", "meta", "mps", "xla", "fpga"])
def test_devices_that_are_not_here(device):
    if device == "cuda:99" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    if device == "mps" and torch.backends.mps.is_available():
        pytest.skip("there is such a device")
    with pytest.raises(ParameterError, match="device"):
        resolve_model(band_energy(), device=device)


def test_labels_go_with_a_name():
    torch.manual_seed(0)
    assert resolve_model("mn,width=0.1", "random", labels=["x", "y"]).labels == ("x", "y")
    with pytest.raises(ParameterError, match="labels= and options= go with a model name"):
        resolve_model(band_energy(), labels=["x", "y"])
    with pytest.raises(ParameterError, match="classes of its own"):
        resolve_model("esc10-mn", labels=["x", "y"])
