from importlib.util import find_spec

import numpy as np
import pytest
import torch

from auharness.nn.log_mel import LogMel, mel_filters

needs_hf = pytest.mark.skipif(find_spec("transformers") is None or find_spec("peft") is None, reason="needs `hf`")


@needs_hf
def test_log_mel_is_whispers():
    from transformers import WhisperFeatureExtractor

    audio = 0.1 * torch.randn(1, 48_000)
    theirs = WhisperFeatureExtractor(feature_size=80)
    wanted = theirs(audio[0].numpy(), sampling_rate=16_000, return_tensors="np")["input_features"][0]
    np.testing.assert_allclose(mel_filters(80).T.numpy(), theirs.mel_filters, atol=1e-6)
    mel = LogMel(80, hop=160, centred=True)(torch.nn.functional.pad(audio, (0, 30 * 16_000 - 48_000)))
    mel = (mel.maximum(mel.amax((1, 2), keepdim=True) - 8) + 4) / 4
    assert mel.shape == (1, 80, 3000)
    np.testing.assert_allclose(mel[0].numpy(), wanted, atol=2e-4)
