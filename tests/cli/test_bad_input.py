"""Bad input: one line that says what came and what to do, the right exit code, no traceback, nothing half-written."""

from __future__ import annotations

import errno
import json
import os
import pickle
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from otoscope.core.errors import OtoscopeError

pytestmark = pytest.mark.usefixtures("no_left_overs")
FILES = {"original.wav", "kept.wav", "removed.wav", "attribution.npz", "explanation.json", "report.html"}
OUT = Path("out")


def refused(run, *said: str) -> None:
    """Exit code 2, one line that holds the words, nothing written."""
    assert run.code == 2
    for words in said:
        assert words in run.error
    assert not OUT.exists() or not any(OUT.rglob("*.*"))


def header(rate=16000, channels=1, bits=16, frames=100, tag=1, data=None) -> bytes:
    """A WAV file with any header."""
    data = bytes(frames * channels * bits // 8) if data is None else data
    width = channels * bits // 8
    fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * width & 0xFFFFFFFF, width, bits)
    body = b"WAVE" + b"fmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


# Sounds


def test_missing(explain, wav):
    near = wav("bark.wav")
    refused(explain(near.with_name("barc.wav")), "there is no such file", f"did you mean '{near}'")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty (0 bytes)"),
        (b"this is only text\n", "cannot read"),
        (header()[:20], "cannot read"),
        (header(frames=1000)[:-500], "cannot read"),
        (header(frames=0), "length is zero"),
        (header(rate=1), "1 Hz"),
        (header(rate=0), "cannot read"),
        (header(rate=99), "99 Hz"),
        (header(channels=0, data=bytes(100)), "cannot read"),
        (header(channels=2000, frames=4), "cannot read"),
        (b"RIFF\xff\xff\xff\xffWAVE", "cannot read"),
        (bytes(1000), "cannot read"),
        (b"fLaC" + bytes(100), "cannot read"),
        (b"OggS" + bytes(100), "cannot read"),
        (b"\x80\x04\x95cposix\nsystem\n", "cannot read"),
    ],
)
def test_files_that_are_no_sound(explain, tmp_path, content, said):
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    refused(explain(path), said, str(path))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite(explain, tmp_path, value):
    samples = np.zeros(800, np.float32)
    samples[40] = value
    soundfile.write(tmp_path / "a.wav", samples, 16000, "FLOAT")
    refused(explain(tmp_path / "a.wav"), "1 of 800 samples are NaN or infinite", "at sample 40")


def test_silence_is_explained_and_said_to_be_silent(explain, wav):
    (row,) = explain(wav(samples=np.zeros((1, 3200))), "--json").json
    assert "the sound is silent" in row["notes"]
    assert row["verdict"]["trust"] == "poor"
    assert all(v is None or np.isfinite(v) for v in row["metrics"].values())


@pytest.mark.parametrize(
    ("rate", "channels", "frames"),
    [(16000, 1, 1), (384_000, 1, 38_400), (16000, 100, 1600), (8000, 2, 800), (100, 1, 30), (1_000_000, 1, 1000)],
)
def test_odd_sounds_that_work(explain, wav, rate, channels, frames):
    run = explain(wav(rate=rate, channels=channels, seconds=frames / rate), "--json")
    assert (run.code, run.errors) == (0, [])
    for part in ("original", "kept", "removed"):
        info = soundfile.info(run.json[0]["files"][part])
        assert (info.samplerate, info.channels, info.frames) == (rate, channels, frames)


def test_eight_bits_and_other_encodings(explain, tmp_path):
    (tmp_path / "u8.wav").write_bytes(header(bits=8, data=bytes(np.arange(256, dtype=np.uint8)) * 8))
    assert explain(tmp_path / "u8.wav").code == 0
    kept, removed, original = (soundfile.read(OUT / "u8" / f"{p}.wav")[0] for p in ("kept", "removed", "original"))
    np.testing.assert_allclose(kept + removed, original, atol=1e-6)


def test_a_directory(explain, tmp_path):
    refused(explain(tmp_path), "it is a directory")


@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero"])
def test_a_device(explain, device):
    refused(explain(device), "it is a device")


def test_a_file_that_must_not_be_read(explain, wav, monkeypatch):
    import builtins

    path, real = wav(), builtins.open

    def guarded(file, *a, **k):
        if str(file) == str(path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(file, *a, **k)

    monkeypatch.setattr(builtins, "open", guarded)
    refused(explain(path), "no permission to read it", "chmod +r")


def test_a_loop_of_links_and_a_dangling_one(explain, tmp_path):
    (tmp_path / "a.wav").symlink_to(tmp_path / "b.wav")
    (tmp_path / "b.wav").symlink_to(tmp_path / "a.wav")
    (tmp_path / "c.wav").symlink_to(tmp_path / "nowhere.wav")
    refused(explain(tmp_path / "a.wav"), "a.wav")
    refused(explain(tmp_path / "c.wav"), "which is not there")


@pytest.mark.parametrize(
    "name", ["", " ", "x" * 5000, "a/" * 3000, "-", "http://example.org/a.wav", "~", "*.wav", "\u202e.wav"]
)
def test_names_that_are_no_file(explain, name):
    run = explain("--", name)
    assert run.code == 2
    assert run.error.startswith("otoscope: ")


@pytest.mark.parametrize(
    "name",
    [
        "Grüße 狮子 🦁.wav",
        "new\nline.wav",
        "tab\tand'quote\".wav",
        "-x.wav",
        "<b>&amp;.wav",
        "%s{}.wav",
        " .wav",
        ".wav",
    ],
)
def test_odd_file_names_work(explain, wav, name):
    path = wav(name)
    run = explain("--json", "--", path)
    assert (run.code, run.errors) == (0, [])
    (row,) = run.json
    assert row["file"] == str(path)
    assert {p.name for p in Path(row["files"]["kept"]).parent.iterdir()} == FILES
    table = explain("--", path)
    assert table.code == 0
    assert len(table.out.splitlines()) == 2


def test_a_name_that_is_no_text_works(explain, wav, tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav")
    os.rename(wav(), path)
    run = explain(path, "--json")
    assert (run.code, run.errors) == (0, [])
    assert run.json[0]["file"] == path
    (Path(run.json[0]["files"]["report"])).read_text(encoding="utf-8")
    assert explain(path).code == 0
    import otoscope as package

    assert package.replay(run.json[0]["files"]["record"]).source.frames == 3200


def test_a_failing_file_with_an_odd_name_is_still_one_line(explain, tmp_path):
    for name in (b"new\nline.wav", b"caf\xe9.wav", b"esc\x1b[31m.wav"):
        run = explain(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
        assert run.code == 2
        assert run.error.isprintable()


def test_the_longest_names_work(explain, wav, tmp_path):
    files = [tmp_path / "a" / ("x" * 251 + ".wav"), tmp_path / "b" / ("x" * 251 + ".wav")]
    for file in files:
        file.parent.mkdir()
        wav().rename(file)
    run = explain(*files, "--json")
    assert (run.code, run.errors) == (0, [])


@pytest.mark.parametrize("name", ["..wav", "...wav", "....wav"])
def test_a_stem_of_dots_does_not_lead_out_of_the_folder(explain, wav, name, tmp_path):
    run = explain(wav(name), "--json")
    assert run.code == 0
    folder = Path(run.json[0]["files"]["kept"]).resolve().parent
    assert folder.parent == (tmp_path / "cwd" / "out")
    assert {p.name for p in folder.iterdir()} == FILES


def test_a_file_without_a_name_ending_next_to_its_folder(otoscope, model, wav, tmp_path):
    path = wav("bark")
    run = otoscope("explain", path, "--model", model, "--method", "gradient", "--out", tmp_path)
    assert run.code == 2
    assert "cannot write" in run.error
    assert path.is_file()


def test_the_sound_that_is_explained_is_not_overwritten(otoscope, model, wav, tmp_path):
    path = wav("kept/kept.wav")
    before = path.read_bytes()
    run = otoscope("explain", path, "--model", model, "--method", "gradient", "--out", tmp_path)
    assert run.code == 2
    assert "choose another folder" in run.error
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["kept.wav"]


def test_a_pipe_is_a_file_like_any_other(explain, wav, tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    data = wav().read_bytes()
    writer = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; open(sys.argv[1], 'wb').write(sys.stdin.buffer.read())",
            tmp_path / "pipe.wav",
        ],
        stdin=subprocess.PIPE,
    )
    writer.stdin.write(data)
    writer.stdin.close()
    run = explain(tmp_path / "pipe.wav", "--json")
    assert writer.wait(60) == 0
    assert (run.code, run.errors) == (0, [])


# Wrong words


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--model", "esc10-mm", "unknown model 'esc10-mm'; did you mean 'esc10-mn'"),
        ("--model", "nowhere/model", "is not a model folder"),
        ("--model", "", "model"),
        ("--method", "rize", "unknown method 'rize'; did you mean 'rise'"),
        ("--method", "mel", "unknown method 'mel'"),
        ("--method", ",", "unknown method ''"),
        ("--method", "rise,mask=3", "did you mean 'masks'"),
        ("--method", "rise,masks=x", "masks must be a int"),
        ("--method", "rise,masks=1e99", "masks must"),
        ("--domain", "mell", "did you mean 'mel'"),
        ("--domain", "mel,band=3", "did you mean 'bands'"),
        ("--domain", "mel,bands=-3", "bands must lie in [1, 4096]"),
        ("--mask", "topkk", "did you mean 'topk'"),
        ("--mask", ",,", "unknown mask ''"),
        ("--mask", "topk:x", "keep must be a float"),
        ("--mask", "topk:nan", "keep must lie in"),
        ("--mask", "topk:0.3,smooth=1", "did you mean 'smooth_"),
        ("--mask", "positive:threshold:7", "threshold must lie in"),
        ("--target", "dig", "did you mean 'dog'"),
        ("--target", "", "unknown label of 'tiny' ''"),
        ("--target", "4", "4 classes, 0 to 3"),
        ("--target", "-1", "out of range"),
        ("--target", "--5", "unknown label"),
        ("--target", "²", "unknown label"),
        ("--target", "٣٣", "out of range"),
        ("--seed", "-1", "seed must be a whole number from 0"),
        ("--seed", "99999999999", "seed must be a whole number from 0"),
        ("--batch-size", "0", "batch_size must be a whole number from 1"),
        ("--batch-size", "-4", "batch_size must be a whole number from 1"),
        ("--device", "gpu", "unknown device 'gpu'"),
        ("--device", "meta", "device 'meta' is not supported"),
        ("--device", "", "device"),
        ("--weights", "missing.pt", "weights missing.pt does not exist"),
        ("--weights", ".", "is a folder"),
    ],
)
def test_wrong_words_are_told_the_nearest_in_one_line(explain, wav, option, value, said):
    if (option, value) == ("--method", ""):
        pytest.skip("the default")
    refused(explain(wav(), option, value), said)


def test_empty_words_are_refused_rather_than_taken_for_the_default(explain, wav):
    for option in ("--method", "--domain", "--mask"):
        refused(explain(wav(), option, ""), "NAME" if option != "--mask" else "a mask is written")


@pytest.mark.parametrize(("option", "value"), [("--seed", "x"), ("--seed", "1.5"), ("--batch-size", "many")])
def test_options_that_are_no_numbers(explain, wav, option, value):
    run = explain(wav(), option, value)
    assert run.code == 2
    assert f"'{value}' is not a valid integer" in run.err
    assert "Traceback" not in run.err


def test_a_gpu_that_is_not_here(explain, wav):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    refused(explain(wav(), "--device", "cuda"), "no usable GPU; use --device cpu")


def test_a_layer_that_is_not_there(explain, wav):
    refused(
        explain(wav(), method="grad_cam,layer=features.99"), "unknown layer 'features.99'", "did you mean 'features.9'"
    )


def test_a_wrong_word_is_said_once_not_once_a_file(explain, wav):
    run = explain(wav("a.wav"), wav("b.wav"), "--target", "dig")
    assert run.code == 2
    assert all("did you mean 'dog'" in line for line in run.errors)


# Models


def test_model_folders_that_are_damaged(explain, wav, tmp_path, model):
    folder = tmp_path / "model"
    folder.mkdir()
    good = json.loads((model / "config.json").read_text())
    for config, said in (
        ("", "config.json"),
        ("{}", "config.json"),
        ("[]", "config.json"),
        (json.dumps({**good, "architecture": "resnet"}), "unknown architecture 'resnet'"),
        (json.dumps(good), "model.safetensors does not exist"),
    ):
        (folder / "config.json").write_text(config)
        refused(explain(wav(), "--model", folder), said)
    for content in (b"", b"nonsense", bytes(100)):
        (folder / "model.safetensors").write_bytes(content)
        refused(explain(wav(), "--model", folder), "model.safetensors cannot be read")


def test_weights_of_another_shape(explain, wav, model, tmp_path):
    from safetensors.torch import load_file

    state = load_file(model / "model.safetensors")
    state["classifier.5.bias"] = torch.zeros(7)
    torch.save(state, tmp_path / "other.pt")
    refused(
        explain(wav(), "--weights", tmp_path / "other.pt"), "do not fit", "classifier.5.bias is (7,), expected (4,)"
    )


class Code:
    """A pickle of it runs a command when it is read."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_pickle_with_code_in_it(explain, wav, tmp_path):
    for i, save in enumerate((torch.save, lambda x, p: p.write_bytes(pickle.dumps(x)))):
        save({"features": Code(tmp_path / "owned")}, tmp_path / f"{i}.pt")
        refused(explain(wav(), "--weights", tmp_path / f"{i}.pt"), "refused", "safetensors")
    assert not (tmp_path / "owned").exists()


def test_text_and_an_empty_file_as_weights(explain, wav, tmp_path):
    for i, content in enumerate((b"", b"text", bytes(50), b"PK\x03\x04")):
        (tmp_path / f"{i}.pt").write_bytes(content)
        refused(explain(wav(), "--weights", tmp_path / f"{i}.pt"), "weights")


# Writing


def test_a_file_where_the_folder_should_be(explain, wav):
    OUT.write_text("mine")
    run = explain(wav("a.wav"), wav("b.wav"))
    assert run.code == 2
    assert len(run.errors) == 2
    assert all("cannot write out/" in line and "choose another folder" in line for line in run.errors)
    assert OUT.read_text() == "mine"


@pytest.mark.parametrize("out", ["/dev/null", "/proc/nowhere", "/sys/x"])
def test_folders_that_cannot_be_made(otoscope, model, wav, out):
    run = otoscope("explain", wav(), "--model", model, "--method", "gradient", "--out", out)
    assert run.code == 2
    assert f"cannot write {out}" in run.error


def test_a_folder_where_a_file_should_be(explain, wav):
    (OUT / "a" / "kept.wav").mkdir(parents=True)
    run = explain(wav("a.wav"))
    assert run.code == 2
    assert "cannot write out/a/kept.wav" in run.error


def break_writing(monkeypatch, name: str, error: BaseException) -> None:
    """The error comes in the middle of writing the file of that name."""
    import otoscope.core.files as files
    from otoscope.audio import write

    if name.endswith(".wav"):
        real_blocks = write._write_blocks

        def blocks(path, file, rate, parts):
            real_blocks(path, file, rate, parts)
            if path.name == name:
                file.truncate(50)
                raise error

        monkeypatch.setattr(write, "_write_blocks", blocks)
    elif name.endswith(".npz"):

        def half(file, **_arrays):
            file.write(b"half")
            raise error

        monkeypatch.setattr(np, "savez_compressed", half)
    else:
        real = Path.write_text

        def text(self, content, *a, **k):
            real(self, content[: len(content) // 2], *a, **k)
            if self.name.startswith(f".{name}."):
                raise error
            return real(self, content, *a, **k)

        monkeypatch.setattr(files.Path, "write_text", text)


@pytest.mark.parametrize("old", [False, True], ids=["new", "over old results"])
@pytest.mark.parametrize("name", sorted(FILES))
def test_a_disk_that_fills_up_leaves_no_half_file(explain, wav, monkeypatch, name, old):
    a, folder = wav("a.wav"), OUT / "a"
    if old:
        assert explain(a).code == 0
    before = {p.name: p.read_bytes() for p in folder.iterdir()} if old else {}
    break_writing(monkeypatch, name, OSError(errno.ENOSPC, "No space left on device"))
    run = explain(a, "--json")
    assert run.code == 2
    assert run.error == f"otoscope: {a}: cannot write out/a/{name}: No space left on device"
    assert run.json == []
    left = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert left.get(name) == before.get(name)
    assert set(left) <= FILES
    if (folder / "explanation.json").exists():
        json.loads((folder / "explanation.json").read_text())
    for part in ("original", "kept", "removed"):
        if (folder / f"{part}.wav").exists():
            assert soundfile.info(folder / f"{part}.wav").frames == 3200


@pytest.mark.parametrize("name", sorted(FILES))
def test_an_interrupt_while_writing_leaves_no_half_file(explain, wav, monkeypatch, name):
    break_writing(monkeypatch, name, KeyboardInterrupt())
    run = explain(wav("a.wav"))
    assert run.code == 130
    assert run.error == "otoscope: interrupted; files written so far are complete"
    assert not (OUT / "a" / name).exists()


def test_a_full_disk_does_not_stop_the_other_files(explain, wav, monkeypatch):
    import otoscope.core.files as files

    real = files.make_folder

    def full(path):
        if Path(path).name == "b":
            raise files.WriteError(path, "No space left on device")
        return real(path)

    monkeypatch.setattr("otoscope.explanation.explanation.make_folder", full)
    run = explain(wav("a.wav"), wav("b.wav"), wav("c.wav"), "--json")
    assert run.code == 1
    assert [r["files"]["kept"] for r in run.json] == ["out/a/kept.wav", "out/c/kept.wav"]


@pytest.mark.parametrize("kb", [8, 40, 300])
def test_a_disk_that_is_really_full(explain, wav, kb, tmp_path):
    OUT.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kb}k", "tmpfs", OUT], capture_output=True)
    if done.returncode:
        pytest.skip("a small disk cannot be mounted here (needs the right to mount)")
    try:
        run = explain(wav(seconds=1.0, channels=2))
        assert run.code == 2
        assert "cannot write out/a" in run.error
        assert "No space left on device" in run.error
        for path in (OUT / "a").glob("*.wav"):
            assert soundfile.info(path).frames == 16000
        assert not list(OUT.rglob("*.part"))
    finally:
        subprocess.run(["umount", OUT], check=True)


# Interrupts


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_an_interrupt_inside_a_pass(explain, wav, monkeypatch, at):
    from otoscope.classifiers import Classifier

    calls, forward = [], Classifier.forward

    def interrupted(self, waveform):
        calls.append(1)
        if len(calls) > at:
            raise KeyboardInterrupt
        return forward(self, waveform)

    monkeypatch.setattr(Classifier, "forward", interrupted)
    run = explain(wav())
    assert run.code == 130
    assert run.error == "otoscope: interrupted; files written so far are complete"


def test_ctrl_c_for_real(wav, model, tmp_path):
    """The first sound is done, the second is being explained when the signal comes."""
    out = tmp_path / "out"
    command = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from otoscope.cli import main; main(sys.argv[1:])"
    )
    arguments = ["--model", model, "--method", "rise,masks=300", "--batch-size", "1", "--out", out]
    process = subprocess.Popen(
        [sys.executable, "-c", command, "explain", wav("a.wav", 0.02), wav("b.wav", 29.0), *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not (out / "a" / "report.html").exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert stderr.splitlines()[-1].endswith("otoscope: interrupted; files written so far are complete")
    assert stdout == ""
    assert {p.name for p in (out / "a").iterdir()} == FILES
    json.loads((out / "a" / "explanation.json").read_text())
    assert not (out / "b").exists()


# Classifiers that fail


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "out of memory with a batch of 2; use a smaller --batch-size"),
        (RuntimeError("two\nlines"), "failed on a sound (RuntimeError: two lines)"),
    ],
)
@pytest.mark.parametrize("command", ["explain", "classify"])
def test_a_network_that_fails(otoscope, model, wav, monkeypatch, error, said, command):
    from otoscope.classifiers.mn import MN

    def fail(self, features):
        raise error

    monkeypatch.setattr(MN, "forward", fail)
    quick = ["--method", "gradient"] if command == "explain" else []
    run = otoscope(command, wav("a.wav"), wav("b.wav"), "--model", model, *quick)
    assert run.code == 2
    assert len(run.errors) == 2
    assert all(said.replace("of 2", "of 1") in line for line in run.errors)


def test_an_error_of_ours_has_no_traceback_wherever_it_comes_from(otoscope, monkeypatch):
    from otoscope.core import registry

    def fail(_kind):
        raise OtoscopeError("a plug-in\nis broken")

    monkeypatch.setattr(registry, "entries", fail)
    run = otoscope("models", "--json")
    assert (run.code, run.out) == (2, "")
    assert run.error == "otoscope: a plug-in\\nis broken"


# Autoencoders


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--autoencoder", "esc10-nm"), "unknown autoencoder 'esc10-nm'; did you mean 'esc10-mn'?"),
        (("--autoencoder", ""), "an autoencoder and its weights are names or paths; got ''"),
        (("--autoencoder", "no/where"), "no/where is not a folder of an autoencoder"),
        (("--autoencoder", "\0"), "autoencoder"),
        (("--method", "rise", "--autoencoder", "x"), "goes with the method like-to-hear, not with 'rise'"),
        (("--method", "like-to-hear,autoencoder=y", "--autoencoder", "x"), "two autoencoders are named"),
        (("--method", "like-to-hear", "--mask", "topk:0.3"), "no mask makes it"),
        (("--method", "like-to-hear", "--domain", "features"), "use stft, mel, time"),
    ],
)
def test_autoencoders_that_cannot_be_had(otoscope, model, wav, arguments, said):
    refused(otoscope("explain", wav(), "--model", model, "--out", "out", *arguments), said)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", b"{"),
        ("config.json", b"[]"),
        ("config.json", b'{"name": "x", "autoencoder": {"channels": -1}}'),
        ("config.json", b'{"name": "x", "autoencoder": {"chanels": 1}}'),
        ("model.safetensors", b""),
        ("model.safetensors", bytes(64)),
    ],
)
def test_a_damaged_autoencoder(otoscope, model, wav, tmp_path, name, content):
    from autoencoder_worlds import tiny_autoencoder

    folder = tiny_autoencoder(tmp_path / "tiny", 16000)
    (folder / name).write_bytes(content)
    refused(otoscope("explain", wav(), "--model", model, "--autoencoder", folder, "--out", "out"), str(folder))
