from importlib.util import find_spec

import numpy as np
import pytest
import torch

from auharness.errors import UsageError
from auharness.nn.sound_encoder import (
    MelSound,
    _chunked,
    normalised,
    sound_encoder,
    sound_tokens,
    token_count,
    tokens_valid,
)

needs_hf = pytest.mark.skipif(find_spec("transformers") is None or find_spec("peft") is None, reason="needs `hf`")


def _sound(samples, batch=1):
    return 0.1 * torch.randn(batch, samples)


def _all(audio):
    return torch.ones_like(audio, dtype=torch.bool)


@needs_hf
@pytest.mark.parametrize(("seconds", "tokens"), [(1, 49), (10, 499)])
@pytest.mark.parametrize("name", ["wavlm-random", "whisper-random", "mel"])
def test_one_second_has_49_tokens_and_ten_have_499(name, seconds, tokens):
    encoder = sound_encoder(name, hidden=4, pretrained=False).eval()
    audio = _sound(16_000 * seconds)
    with torch.inference_mode():
        found = sound_tokens(encoder, audio, _all(audio))
    assert found.tokens.shape == (1, tokens, encoder.width)
    assert found.valid.shape == (1, tokens) == (1, token_count(audio.shape[1])) and found.valid.all()


def test_a_token_is_sound_if_all_its_samples_are():
    valid = torch.ones(2, 16_000, dtype=torch.bool)
    valid[0, 1000] = False  # in the fields of tokens 2 (640 to 1039) and 3 (960 to 1359)
    valid[1] = False
    found = tokens_valid(valid)
    assert (~found[0]).nonzero().flatten().tolist() == [2, 3] and not found[1].any()


def test_normalised_sound_has_mean_0_and_variance_1_where_there_is_sound():
    audio, valid = 3 + 5 * torch.randn(2, 4000), torch.ones(2, 4000, dtype=torch.bool)
    valid[0, 1000:] = valid[1] = False
    found = normalised(audio, valid)
    torch.testing.assert_close(
        found[0, :1000], (audio[0, :1000] - audio[0, :1000].mean()) / audio[0, :1000].std(correction=0)
    )
    assert not found[0, 1000:].any() and not found[1].any()


@needs_hf
def test_normalisation_is_that_of_transformers():
    from transformers import Wav2Vec2FeatureExtractor

    audio = torch.rand(1, 4000)
    wanted = Wav2Vec2FeatureExtractor(do_normalize=True)(audio[0].numpy(), sampling_rate=16_000)["input_values"][0]
    np.testing.assert_allclose(normalised(audio, _all(audio))[0].numpy(), wanted, atol=1e-5)


@needs_hf
@pytest.mark.parametrize("name", ["wavlm-random", "whisper-random"])
def test_gradients_reach_the_adapters_only(name):
    encoder = sound_encoder(name, hidden=4, pretrained=False)
    audio = _sound(8000, batch=2)
    sound_tokens(encoder, audio, _all(audio)).tokens.square().sum().backward()
    learned = {key for key, value in encoder.named_parameters() if value.grad is not None}
    assert learned == {key for key, value in encoder.named_parameters() if value.requires_grad}
    assert all(".bottleneck." in key or key == "layer_weights" for key in learned)
    assert sum(".bottleneck." in key for key in learned) == 2 * 4
    # up is 0, so it learns first
    assert any(encoder.get_parameter(key).grad.any() for key in learned)
    assert not any("feature_extractor" in key for key in learned)


@needs_hf
def test_fresh_adapters_add_nothing_and_layers_weigh_the_same():
    adapted, plain = (sound_encoder("wavlm-random", hidden=hidden, pretrained=False).eval() for hidden in (4, 0))
    audio = _sound(8000)
    with torch.inference_mode():
        torch.testing.assert_close(adapted(audio), plain(audio))
        found = plain.model(audio, output_hidden_states=True)
        assert len(found.hidden_states) == 3
        states = (*found.hidden_states[:2], found.last_hidden_state)
        torch.testing.assert_close(plain(audio), sum(states) / 3)


@needs_hf
def test_the_same_sound_gives_the_same_tokens_in_training():
    encoder = sound_encoder("wavlm-random", hidden=4, pretrained=False).train()
    audio = _sound(8000)
    torch.testing.assert_close(encoder(audio), encoder(audio), rtol=0, atol=0)


@needs_hf
def test_a_vision_transformer_is_no_sound_encoder():
    with pytest.raises(UsageError, match="is a dinov2, expected wavlm or whisper"):
        sound_encoder("dinov2-random", hidden=4, pretrained=False)


def test_long_sound_is_pieced_together_in_chunks():
    encoder = MelSound(8).eval()
    audio = _sound(16_000 * 6)
    count = token_count(audio.shape[1])
    with torch.inference_mode():
        whole = encoder(audio)
        # convolutions reach 4 tokens, less than the overlap of 50
        for chunk in (120, 150, count - 1):
            torch.testing.assert_close(_chunked(encoder, audio, chunk=chunk), whole, atol=1e-5, rtol=1e-5)


def test_silence_and_missing_sound_are_not_the_same():
    encoder = MelSound(8).eval()
    audio = torch.zeros(1, 8000)
    assert not sound_tokens(encoder, audio, ~_all(audio)).tokens.any()
    assert sound_tokens(encoder, audio, _all(audio)).tokens.any()


def test_very_short_sound_has_one_token_without_sound():
    audio = _sound(100)
    found = sound_tokens(MelSound(8), audio, _all(audio))
    assert found.tokens.shape == (1, 1, 8) and not found.valid.any() and not found.tokens.any()
