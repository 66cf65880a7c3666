"""What pages call things."""

from types import SimpleNamespace

from otoscope.explanation.explanation import PARTS
from otoscope.report.captions import GENERATED, MASKED, SOUNDS, TRUST, captions_of


def test_every_sound_and_every_degree_of_trust_has_words():
    assert tuple(SOUNDS) == PARTS
    assert len({key for key, _ in SOUNDS.values()}) == 3
    assert set(TRUST) == {"good", "doubtful", "poor"}
    assert all(getattr(MASKED, part) and getattr(GENERATED, part) for part in PARTS)


def test_a_generated_sound_has_captions_of_its_own():
    assert captions_of(SimpleNamespace(generated=None)) is MASKED
    assert captions_of(SimpleNamespace(generated=object())) is GENERATED
