import numpy as np
import pytest

from auharness.data.synthetic.sound import RATE, Utterance, resampled, soundtrack


def track(*utterances: Utterance, seconds: float = 2.0, seed: int = 0) -> np.ndarray:
    return soundtrack(utterances, seconds, rng=np.random.default_rng(seed))


def loudness(sound: np.ndarray) -> float:
    return float(np.sqrt(np.mean(sound**2)))


def flatness(sound: np.ndarray) -> float:
    """Geometric over arithmetic mean of the power below 4 kHz: 1 for white noise, 0 for a tone."""
    power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
    power = power[: int(4000 / RATE * len(sound))] + 1e-12
    return float(np.exp(np.log(power).mean()) / power.mean())


def pitch(sound: np.ndarray) -> float:
    """The strongest repetition between 70 and 500 Hz, in the middle of each tenth of a second; the median."""
    found = []
    for start in range(0, len(sound) - 1600, 1600):
        part = sound[start : start + 1600]
        echo = np.correlate(part, part, "full")[1599:]
        found.append(RATE / (32 + int(np.argmax(echo[32:228]))))
    return float(np.median(found))


def test_a_track_is_as_long_as_the_film_and_in_range() -> None:
    sound = track(Utterance("laugh", 0.0, 3.0, 200.0), Utterance("speech", 0.0, 3.0, 120.0), seconds=1.5)
    assert sound.shape == (24000,) and sound.dtype == np.float32
    assert 0.1 < np.abs(sound).max() <= 0.7


@pytest.mark.parametrize("kind", ["speech", "laugh", "sigh"])
def test_there_is_sound_where_somebody_sounds_and_hardly_any_elsewhere(kind: str) -> None:
    sound = track(Utterance(kind, 0.5, 1.5, 130.0))
    assert loudness(sound[8000:24000]) > 8 * loudness(sound[:7900])
    assert loudness(sound[8000:24000]) > 8 * loudness(sound[24100:])


def test_laughter_is_higher_than_speech_and_a_sigh_is_breath() -> None:
    sounds = {kind: track(Utterance(kind, 0.0, 2.0, 120.0)) for kind in ("speech", "laugh", "sigh")}
    assert 95 < pitch(sounds["speech"]) < 150
    assert pitch(sounds["laugh"]) > 1.4 * pitch(sounds["speech"])
    assert flatness(sounds["sigh"]) > 2 * max(flatness(sounds["speech"]), flatness(sounds["laugh"]))


def test_laughter_comes_in_four_to_seven_bursts_a_second() -> None:
    sound = track(Utterance("laugh", 0.0, 2.0, 120.0))
    envelope = np.sqrt((sound.reshape(-1, 160) ** 2).mean(axis=1))
    spectrum = np.abs(np.fft.rfft(envelope - envelope.mean()))
    strongest = np.fft.rfftfreq(len(envelope), 0.01)[1 + int(np.argmax(spectrum[1:40]))]
    assert 4 <= strongest <= 7


def test_people_speak_over_each_other() -> None:
    one, other = Utterance("speech", 0.0, 1.0, 100.0), Utterance("speech", 1.0, 2.0, 220.0)
    both = track(one, other)
    assert pitch(both[:16000]) < 130 and pitch(both[16000:]) > 180


def test_sound_depends_on_the_generator_alone() -> None:
    said = Utterance("speech", 0.0, 1.0, 110.0)
    np.testing.assert_array_equal(track(said), track(said))
    assert np.abs(track(said) - track(said, seed=1)).max() > 0.05


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
def test_another_rate_keeps_length_and_tone(rate: int) -> None:
    tone = (np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE) / 2).astype(np.float32)
    sound = resampled(tone, rate)
    assert sound.shape == (rate,) and np.abs(sound).max() <= 1
    inside = slice(rate // 10, -rate // 10)
    expected = np.sin(2 * np.pi * 440 * np.arange(rate) / rate) / 2
    np.testing.assert_allclose(sound[inside], expected[inside], atol=0.01)
