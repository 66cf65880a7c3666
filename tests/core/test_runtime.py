"""Optional packages, devices, generators, versions."""

import platform

import pytest
import torch

from otoscope.core.errors import MissingExtraError, ParameterError
from otoscope.core.runtime import _version, generator, require, resolve_device, versions


def test_a_package_that_is_there_is_imported():
    import json

    assert require("json", "plot", "x") is json


def test_a_package_that_is_missing_is_named_with_its_extra():
    with pytest.raises(MissingExtraError, match=r"training needs the package 'no_such_package'; .*'\.\[train\]'"):
        require("no_such_package", "train", "training")
    with pytest.raises(MissingExtraError, match=r"'no-such-package'"):
        require("no_such_package", "train", "training", package="no-such-package")


def test_devices():
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    for nonsense in ("gpu", "", "cuda:x"):
        with pytest.raises(ParameterError, match=r"unknown device '.*'; use auto, cpu, cuda or cuda:N"):
            resolve_device(nonsense)


def test_a_gpu_that_is_not_there_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == torch.device("cpu")
    for name in ("cuda", "cuda:1"):
        with pytest.raises(ParameterError, match="no usable GPU; use --device cpu"):
            resolve_device(name)


def test_a_generator_is_seeded_and_leaves_the_global_state_alone():
    before = torch.get_rng_state()
    a, b, c = (torch.rand(4, generator=generator(s)) for s in (3, 3, 4))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert torch.equal(torch.get_rng_state(), before)


def test_versions_name_what_matters(monkeypatch):
    import importlib.metadata as metadata

    found = versions()
    assert found["python"] == platform.python_version()
    assert found["torch"] == metadata.version("torch")
    assert list(found) == ["python", "otoscope", "torch", "numpy", "soundfile", "soxr", "av"]

    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    monkeypatch.setattr("otoscope.core.runtime._version", _version.__wrapped__)  # which is asked once in a process
    assert versions()["av"] == "absent"
