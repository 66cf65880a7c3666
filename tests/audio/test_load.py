from __future__ import annotations

import contextlib
import io
import os
import struct
import sys

import numpy as np
import pytest
import soundfile

from otoscope.audio import load_audio, open_audio
from otoscope.core.errors import AudioReadError, OtoscopeError, ParameterError
from otoscope.core.records import Clip


def test_a_file_of_every_soundfile_format_gives_its_samples(make_file, sweep, soundfile_kind, tolerance):
    clip = load_audio(make_file(soundfile_kind))
    assert (clip.sample_rate, clip.samples.shape, clip.samples.dtype) == (48_000, (2, 48_000), np.float32)
    inner = slice(0, 47_000) if soundfile_kind == "opus" else slice(None)  # libsndfile's encoder loses the last 5 ms
    np.testing.assert_allclose(clip.samples[:, inner], sweep()[:, inner], atol=tolerance(soundfile_kind))


def test_a_file_of_every_format_sounds_like_what_went_in(make_file, sweep, kind):
    clip, sound = load_audio(make_file(kind)), sweep()
    assert clip.sample_rate == 48_000
    assert clip.channels == 2
    assert 48_000 <= clip.frames < 48_000 + 4096  # encoders may pad
    heard = np.fft.irfft(np.fft.rfft(clip.samples[0], 1 << 17) * np.fft.rfft(sound[0], 1 << 17).conj())
    assert heard.max() > 0.95 * np.sum(sound[0] ** 2)  # the same sound, up to the encoder's delay


@pytest.mark.parametrize("rate", [100, 8000, 11_025, 44_100, 192_000, 384_000, 1_000_000])
def test_rates_from_100_hz_to_1_mhz_work(make_file, sweep, rate):
    clip = load_audio(make_file("wav16", sweep(50), rate))
    assert (clip.sample_rate, clip.frames) == (rate, 50)
    assert load_audio([0.0, 0.5], rate).sample_rate == rate


@pytest.mark.parametrize("rate", [1, 99, 1_000_001])
def test_absurd_rates_are_refused(make_file, sweep, rate):
    with pytest.raises(AudioReadError, match=f"sample rate is {rate} Hz.*100 Hz to 1000000 Hz"):
        load_audio(make_file("wav16", sweep(50), rate))
    with pytest.raises(ParameterError, match=f"got {rate} Hz"):
        load_audio([0.0], rate)


@pytest.mark.parametrize("rate", [44_100.5, "44100", True, float("nan"), float("inf"), [1]])
def test_a_rate_that_is_no_whole_number_is_refused(rate):
    with pytest.raises(ParameterError, match="whole number of Hz"):
        load_audio([0.0], rate)


@pytest.mark.parametrize("rate", [44_100.0, np.int16(8000), np.float64(8000)])
def test_whole_numbers_of_any_type_are_rates(rate):
    assert type(load_audio([0.0], rate).sample_rate) is int


@pytest.mark.parametrize("channels", [1, 2, 3, 8, 100])
def test_up_to_many_channels_work(make_file, sweep, channels):
    samples = sweep(70, channels)
    np.testing.assert_allclose(load_audio(make_file("wav16", samples)).samples, samples, atol=1 / 32768)
    np.testing.assert_array_equal(load_audio(samples, 8000, channels_first=True).samples, samples)


def test_more_than_1024_channels_are_refused(make_file, sweep, tmp_path):
    assert load_audio(np.zeros((1024, 2)), 8000, channels_first=True).channels == 1024
    with pytest.raises(AudioReadError, match=r"1025 channels; 1 to 1024.*\(channel, time\)"):
        load_audio(np.zeros((1025, 2)), 8000, channels_first=True)
    data = bytearray(make_file("wav16", sweep(4000, 1)).read_bytes())
    struct.pack_into("<H", data, 22, 1025)
    struct.pack_into("<H", data, 32, 2050)
    with pytest.raises(AudioReadError):
        load_audio(bytes(data))


# --- other sources ------------------------------------------------------------------------------------------------


def test_bytes_and_files_give_what_the_path_gives(make_file, kind):
    path = make_file(kind)
    wanted = load_audio(path)
    data = path.read_bytes()
    for source in (str(path), data, bytearray(data), memoryview(data), io.BytesIO(data), {"bytes": data, "path": None}):
        np.testing.assert_array_equal(load_audio(source).samples, wanted.samples)
    with open(path, "rb") as file:
        np.testing.assert_array_equal(load_audio(file).samples, wanted.samples)
        assert file.tell() == 0
    np.testing.assert_array_equal(load_audio({"path": str(path)}).samples, wanted.samples)
    assert wanted.source == str(path)
    assert load_audio(data).source == "bytes"


def test_a_file_object_at_its_end_is_told_to_go_back(make_file):
    file = io.BytesIO()
    file.write(make_file("wav16").read_bytes())
    with pytest.raises(AudioReadError, match=r"at its end.*seek\(0\)"):
        load_audio(file)
    with pytest.raises(AudioReadError, match="str, not bytes"):
        load_audio(io.StringIO("x"))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_float_arrays_are_taken_as_they_are(dtype):
    samples = np.array([0.0, 0.5, -1.0, 2.0], dtype=dtype)
    np.testing.assert_array_equal(load_audio(samples, 8000).samples, [[0.0, 0.5, -1.0, 2.0]])


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        ("int8", [0, 64, -128]),
        ("int16", [0, 1 << 14, -(1 << 15)]),
        ("int32", [0, 1 << 30, -(1 << 31)]),
        (">i2", [0, 1 << 14, -(1 << 15)]),
        ("uint8", [128, 192, 0]),
        ("uint16", [1 << 15, 3 << 14, 0]),
    ],
)
def test_integer_arrays_are_scaled_by_the_full_scale_of_their_type(dtype, values):
    np.testing.assert_array_equal(load_audio(np.array(values, dtype=dtype), 8000).samples, [[0.0, 0.5, -1.0]])


@pytest.mark.parametrize(
    "values", [np.array([1, 2]), np.array([True]), np.array([1j]), np.array(["a"]), np.array([None])]
)
def test_arrays_without_a_full_scale_are_refused(values):
    with pytest.raises(AudioReadError, match=f"{values.dtype}"):
        load_audio(values, 8000)


def test_lists_are_floats():
    np.testing.assert_array_equal(load_audio([0, 1, -1], 8000).samples, [[0, 1, -1]])
    np.testing.assert_array_equal(load_audio([[0, 1], [0.5, 0]], 8000).samples, [[0, 1], [0.5, 0]])
    with pytest.raises(AudioReadError, match="not an array of numbers"):
        load_audio([[0.0], [0.0, 1.0]], 8000)
    with pytest.raises(AudioReadError, match="not an array of numbers"):
        load_audio((np.zeros(3), 8000), 8000)


def test_integers_that_nobody_scaled_are_noted():
    assert "12000 times full scale" in load_audio([0.0, 12000.0], 8000).notes[0]


def test_tensors_are_taken_without_a_gradient_or_a_change():
    torch = pytest.importorskip("torch")
    tensor = torch.tensor([[0.0, 0.5]], requires_grad=True)
    clip = load_audio(tensor, 8000)
    np.testing.assert_array_equal(clip.samples, [[0.0, 0.5]])
    assert tensor.requires_grad
    half = load_audio(torch.tensor([0.5], dtype=torch.bfloat16), 8000)
    assert half.samples.item() == 0.5
    assert load_audio(torch.tensor([1 << 14], dtype=torch.int16), 8000).samples.item() == 0.5
    np.testing.assert_array_equal(load_audio([torch.tensor([0.0, 1.0])], 8000).samples, [[0.0, 1.0]])


def test_the_clip_keeps_nothing_of_the_callers_array():
    samples = np.zeros(3, dtype=np.float32)
    clip = load_audio(samples, 8000)
    samples[:] = 1
    assert not clip.samples.any()
    assert samples.flags.writeable


def test_axes_are_channel_time_unless_it_is_said():
    tall = np.arange(200.0).reshape(100, 2) / 200
    with pytest.raises(
        AudioReadError, match=r"\(100, 2\) looks like \(time, channel\).*channels_first=False.*2 channels"
    ):
        load_audio(tall, 8000)
    np.testing.assert_allclose(load_audio(tall, 8000, channels_first=False).samples, tall.T)
    assert load_audio(tall, 8000, channels_first=True).channels == 100
    assert load_audio(np.zeros((2, 1)), 8000).channels == 2
    for shape in ((), (1, 2, 3)):
        with pytest.raises(AudioReadError, match="shape"):
            load_audio(np.zeros(shape), 8000)


def test_an_array_needs_its_rate():
    with pytest.raises(AudioReadError, match=r"sample_rate=44100"):
        load_audio(np.zeros(3))


def test_hugging_face_dicts():
    for key in ("array", "raw"):
        clip = load_audio({key: np.array([0.5, 0.0]), "sampling_rate": 16_000, "path": None})
        assert (clip.sample_rate, clip.frames) == (16_000, 2)
    assert load_audio({"array": [0.5], "sampling_rate": 8000, "path": "a.wav"}).source == "a.wav"
    with pytest.raises(AudioReadError, match="sampling_rate"):
        load_audio({"array": [0.5]})
    with pytest.raises(AudioReadError, match=r"\['sound'\]"):
        load_audio({"sound": [0.5]})


def test_a_torchcodec_decoder_is_read():
    class Samples:
        data, sample_rate = np.ones((1, 3)), 8000

    class Decoder:
        def get_all_samples(self):
            return Samples

    assert load_audio(Decoder()).samples.shape == (1, 3)


def test_a_clip_comes_back_as_it_is(make_file):
    clip = Clip(np.zeros((1, 5)), 8000)
    assert load_audio(clip) is clip
    assert open_audio(clip) is clip
    with open_audio(make_file("wav16"), in_memory_s=0) as source:
        assert load_audio(source).digest() == source.digest()


def test_a_rate_that_contradicts_the_sounds_own_is_refused(make_file):
    path = make_file("wav16")
    assert load_audio(path, 48_000).sample_rate == 48_000
    for source in (path, load_audio(path), {"array": [0.0], "sampling_rate": 48_000}):
        with pytest.raises(ParameterError, match=r"48000 Hz, but sample_rate=8000.*to_rate"):
            load_audio(source, 8000)


# --- bad input: both doors ----------------------------------------------------------------------------------------


@pytest.fixture(params=["load", "open", "stream"])
def door(request):
    """Each way in, reading the whole sound."""

    def through(source, rate=None):
        if request.param == "load":
            return load_audio(source, rate)
        source = open_audio(source, rate, in_memory_s=0 if request.param == "stream" else 60)
        try:
            return Clip(source.read(0, source.frames), source.sample_rate)
        finally:
            getattr(source, "close", lambda: None)()

    return through


def refused(door, source, match, rate=None):
    with pytest.raises(AudioReadError, match=match) as caught:
        door(source, rate)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_missing(door, make_file, tmp_path):
    path = make_file("wav16", name="typing")
    assert str(path) in refused(door, tmp_path / "typinh.wav", "no such file; did you mean")
    refused(door, tmp_path / "folder" / "quite-else.flac", "no such file")
    refused(door, path / "x.wav", "not a directory")
    refused(door, "https://example.org/a.wav", "download the file")
    refused(door, "a\0.wav", "null byte")
    refused(door, "x" * 5000, "name too long")


def test_directory(door, tmp_path):
    refused(door, tmp_path, "directory; pass the sound files")


def test_empty(door, tmp_path):
    path = tmp_path / "empty.wav"
    path.touch()
    refused(door, path, r"empty \(0 bytes\)")
    refused(door, b"", r"empty \(0 bytes\)")


def test_a_device_is_no_sound(door):
    refused(door, "/dev/zero", "device")


def test_no_permission(door, make_file, monkeypatch):
    path = make_file("wav16")
    real = open

    def deny(file, *args, **more):
        if str(file) == str(path):
            raise PermissionError(13, "Permission denied")
        return real(file, *args, **more)

    monkeypatch.setattr("builtins.open", deny)
    refused(door, path, r"no permission.*chmod \+r")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_no_permission_for_real(door, make_file):
    path = make_file("wav16")
    path.chmod(0)
    refused(door, path, "no permission")


@pytest.mark.parametrize("suffix", ["wav", "mp3", "flac", "ogg", "m4a", "raw", "txt", "srt", "m3u8"])
def test_text_with_the_name_of_a_sound(door, tmp_path, suffix):
    path = tmp_path / f"sound.{suffix}"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n" * 9)
    assert "#EXTM3U" in refused(door, path, "not a sound file of a known format")


def test_noise_bytes_are_refused_or_read_but_never_leak(door):
    rng = np.random.default_rng(0)
    for _ in range(30):
        with contextlib.suppress(OtoscopeError):
            door(rng.bytes(int(rng.integers(1, 3000))))


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_are_refused_or_read_but_never_leak(door, make_file, sweep, kind, seed):
    data = bytearray(make_file(kind, sweep(9600)).read_bytes())
    rng = np.random.default_rng(seed)
    for place in rng.integers(0, min(len(data), [60, 200, len(data), len(data)][seed]), 6):
        data[place] = rng.integers(0, 256)
    with contextlib.suppress(OtoscopeError):
        door(bytes(data))


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9, 0.99])
def test_truncated(door, make_file, kind, share):
    data = make_file(kind).read_bytes()
    cut = data[: max(1, int(len(data) * share))]
    if kind in ("aac", "bare_mp3"):  # a bare stream promises no length: what is there is read, or refused
        with contextlib.suppress(AudioReadError):
            assert door(cut).frames <= 48_000 * share + 4096
        return
    refused(door, cut, "cut short|damaged")


@pytest.mark.parametrize("kind_", ["wav16", "wav24", "rf64", "extensible", "aiff"])
def test_a_truncated_file_says_what_is_missing(door, make_file, kind_):
    data = make_file(kind_).read_bytes()
    width = 6 if kind_ == "wav24" else 4
    match = rf"promises {width * 48_000 + (8 if kind_ == 'aiff' else 0)} bytes.* but \d+ "
    refused(door, data[:-400], match)


def test_truncated_flac_and_mp3_say_both_lengths(door, make_file):
    for name in ("flac16", "mp3"):
        data = make_file(name).read_bytes()
        refused(door, data[: len(data) // 2], r"promises 48000 samples \(1.000 s\) but only \d+")


def test_truncated_containers_say_what_is_missing(door, make_file):
    data = make_file("faststart").read_bytes()
    refused(door, data[:-1000], r"its part 'mdat' promises \d+ bytes but \d+ are there")
    data = make_file("webm").read_bytes()
    refused(door, data[:-1000], f"promises {len(data)} bytes in all but {len(data) - 1000} are there")


def test_a_container_that_ends_between_two_packets_is_cut_short(door, make_file):
    """FFmpeg decodes it without an error, and its stated duration is too coarse to tell: only the header's length does."""
    import av

    path = make_file("faststart")
    with av.open(str(path)) as container:
        ends = sorted(p.pos + p.size for p in container.demux(audio=0) if p.size)
    refused(door, path.read_bytes()[: ends[-2]], "cut short")


def test_a_live_recording_is_held_to_its_stated_length(door, make_file):
    data = bytearray(make_file("webm").read_bytes())
    at = data.index(b"\x18\x53\x80\x67") + 4
    data[at : at + 8] = b"\x01" + b"\xff" * 7  # a segment of unknown length
    assert door(bytes(data)).frames >= 48_000
    refused(door, bytes(data[: len(data) // 2]), r"header promises 1\.\d+ s but only 0\.\d+ s")


@pytest.mark.parametrize("name", ["PatchWelcomeError", "InvalidDataError", "UnknownError", "ExternalError"])
def test_every_ffmpeg_error_becomes_ours(door, make_file, monkeypatch, name):
    import av

    path = make_file("m4a")
    error = getattr(av.error, name)(1, "too new")

    def fail(*_args, **_more):
        raise error

    class Container(contextlib.nullcontext):
        streams, decode = type("Streams", (), {"audio": [None]}), fail

        def __init__(self, *_args, **_more):
            super().__init__(self)

    monkeypatch.setattr(av, "open", Container)
    refused(door, path, r"damaged or cut short after 0\.000 s \(FFmpeg: too new\)")
    monkeypatch.setattr(av, "open", fail)
    refused(door, path, "FFmpeg: too new")


def test_a_wav_from_a_pipe_does_not_know_its_length(door, make_file, sweep):
    data = bytearray(make_file("wav16").read_bytes())
    struct.pack_into("<I", data, 4, 0xFFFFFFFF)
    struct.pack_into("<I", data, data.index(b"data") + 4, 0xFFFFFFFF)
    np.testing.assert_allclose(door(bytes(data)).samples, sweep(), atol=1 / 32768)


def without_sizes(data: bytes) -> bytearray:
    """A WAV as a recorder leaves it that lost power: the sizes in its header are 0."""
    data = bytearray(data)
    struct.pack_into("<I", data, 4, 0)
    struct.pack_into("<I", data, data.index(b"data") + 4, 0)
    return data


@pytest.mark.parametrize("form", ["wav16", "wav24", "float", "extensible"])
@pytest.mark.parametrize("chunk", [b"", b"guan" + struct.pack("<I", 8) + b"GUANO|V:"])
def test_a_recorder_that_lost_power_leaves_its_samples(door, make_file, sweep, form, chunk):
    data = without_sizes(make_file(form).read_bytes())
    at = data.index(b"fmt ")
    data[at:at] = chunk
    np.testing.assert_allclose(door(bytes(data)).samples, sweep(), atol=1 / 32768)


def test_a_header_without_samples_is_noted(make_file, tmp_path):
    data = bytes(without_sizes(make_file("wav16").read_bytes()))
    for sound in (load_audio(data), open_audio(data), open_audio(data, in_memory_s=0)):
        assert "header states no samples" in sound.notes[0]
    assert load_audio(make_file("wav16")).notes == ()


@pytest.mark.parametrize(
    "behind", [b"", b"LIST" + struct.pack("<I", 4) + b"INFO", b"id3 " + struct.pack("<I", 3) + b"abc"]
)
def test_chunks_behind_no_samples_are_no_samples(door, make_file, behind):
    data = without_sizes(make_file("wav16").read_bytes())
    refused(door, bytes(data[: data.index(b"data") + 8]) + behind, "no samples")


def test_an_id3_tag_before_a_wav(door, make_file, sweep, tmp_path):
    tag = b"ID3\x03\0\0" + bytes([0, 0, 1, 100]) + bytes(228)  # 128 + 100 bytes behind its header
    data = make_file("wav16").read_bytes()
    np.testing.assert_allclose(door(tag + data).samples, sweep(), atol=1 / 32768)
    refused(door, tag + data[: len(data) // 2], "cut short: its header promises")
    np.testing.assert_allclose(door(tag + bytes(without_sizes(data))).samples, sweep(), atol=1 / 32768)
    (tmp_path / "tagged.wav").write_bytes(tag + data)
    np.testing.assert_allclose(door(tmp_path / "tagged.wav").samples, sweep(), atol=1 / 32768)


def test_a_dangling_link_does_not_offer_its_own_name(door, tmp_path):
    (tmp_path / "bark.wav").symlink_to("gone.wav")
    said = refused(door, tmp_path / "bark.wav", "a link to 'gone.wav', which is not there")
    assert "did you mean" not in said


@pytest.mark.parametrize("chunk", [b"guan", b"wamd", b"JUNK", b"bext", b"cue "])
def test_chunks_of_field_recorders_are_passed_over(door, make_file, sweep, chunk):
    data = make_file("wav16").read_bytes()
    extra = chunk + struct.pack("<I", 51) + bytes(range(51)) + b"\0"  # of odd length, padded
    at = data.index(b"fmt ")
    for made in (data[:at] + extra + data[at:], data + extra):
        whole = bytearray(made)
        struct.pack_into("<I", whole, 4, len(whole) - 8)
        np.testing.assert_allclose(door(bytes(whole)).samples, sweep(), atol=1 / 32768)


def test_real_field_recordings(shared):
    """AudioMoth with GPS, ARU and bat detectors, at 32, 48, 375 and 384 kHz."""
    found = {path.name: load_audio(path) for path in sorted(shared("field").iterdir()) if path.suffix.lower() == ".wav"}
    assert {clip.sample_rate for clip in found.values()} == {32_000, 48_000, 375_000, 384_000}
    assert found["urban_recorder.WAV"].duration == 30.0
    assert all(0.01 < np.abs(clip.samples).max() < 1 for clip in found.values())


def test_an_mp3_goes_on_after_its_first_part(door, make_file):
    data = make_file("mp3").read_bytes()
    assert len(data) < 60_000
    more = data * (1 + 120_000 // len(data))
    assert door(more).duration > 2.0  # the first part's header says 1 s


@pytest.mark.parametrize("form", ["wav16", "flac16", "aiff", "vorbis"])
def test_zero_length(door, make_file, form):
    refused(door, make_file(form, np.zeros((1, 0), dtype=np.float32)), "no samples|zero|at least one|not a sound file")


def test_zero_length_arrays(door):
    for empty in ([], np.zeros((1, 0)), np.zeros((2, 0))):
        refused(door, empty, "holds no samples", 8000)
    refused(door, np.zeros((0, 5)), "0 channels", 8000)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_counted_and_placed(door, make_file, sweep, bad):
    samples = sweep(2_000, 2)
    samples[1, 480], samples[0, 1000] = bad, bad
    for source, rate in ((make_file("float", samples), None), (samples, 48_000), (samples.astype("f8"), 48_000)):
        refused(
            door,
            source,
            r"2 of 4000 samples are NaN or infinite, the first .* at sample 480 \(0.01 s\) of channel 1",
            rate,
        )


def test_doubles_too_large_for_a_float_are_infinite(door, tmp_path):
    samples = np.array([0.0, 1e300])
    refused(door, samples, "1 of 2 samples", 8000)
    soundfile.write(tmp_path / "x.wav", samples, 8000, subtype="DOUBLE")
    refused(door, tmp_path / "x.wav", "1 of 2 samples")


def test_a_film_without_sound(door, tmp_path):
    import av

    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame(32, 32, "yuv420p")))
        container.mux(stream.encode(None))
    refused(door, path, "no sound in it.*silent film")


@pytest.mark.parametrize("frames", [1, 2, 100])
def test_tiny_sounds_work(door, make_file, sweep, frames):
    for form in ("wav16", "float", "flac16"):
        assert door(make_file(form, sweep(frames, 1))).frames == frames
    assert door([0.5] * frames, 8000).frames == frames


@pytest.mark.parametrize("nothing", [None, 3, 2.5, True])
def test_what_is_no_sound_at_all(door, nothing):
    refused(door, nothing, "pass a path, bytes, samples")


def test_objects_that_are_no_sound(door):
    refused(door, object(), "object", 8000)
    refused(door, {}, "it has the keys")


def test_a_missing_pyav_is_named(door, make_file, monkeypatch):
    path = make_file("m4a")
    monkeypatch.setitem(sys.modules, "av", None)
    refused(door, path, "pip install av")


def test_memory_that_is_not_there(make_file, monkeypatch):
    path = make_file("wav16")

    def full(*_args, **_more):
        raise MemoryError

    monkeypatch.setattr("otoscope.audio.load.np.empty", full)
    with pytest.raises(AudioReadError, match="open_audio"):
        load_audio(path)


def test_a_fifo_is_read_to_its_end(make_file, tmp_path):
    import threading

    data = make_file("wav16").read_bytes()
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(data,))
    writer.start()
    clip = load_audio(tmp_path / "pipe")
    writer.join()
    assert clip.frames == 48_000
