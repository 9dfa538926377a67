import pytest
import torch

from auharness.efficiency.memory import peak_bytes, saved_bytes
from auharness.nn.mixers import AudioGuidedSSM
from auharness.nn.temporal import Guided


def _bytes(length, *, training):
    torch.manual_seed(0)
    temporal = Guided([AudioGuidedSSM(64, inner=16) for _ in range(2)], 64).train(training)
    frames, sound = (torch.randn(1, length, 64, requires_grad=True) for _ in range(2))
    if training:
        return saved_bytes(lambda: temporal(frames, sound)[0], inputs=[frames, sound, *temporal.parameters()])

    def infer():
        with torch.no_grad():
            return temporal(frames, sound)[0]

    return peak_bytes(infer, device=torch.device("cpu"))


@pytest.mark.parametrize("training", [True, False])
def test_memory_of_the_temporal_part_grows_with_the_frames(training):
    short, middle, long = (_bytes(length, training=training) for length in (256, 1024, 4096))
    # what is needed per frame is the same from one length to the next
    assert (long - middle) / 3072 == pytest.approx((middle - short) / 768, rel=0.02)
    assert long <= 16.5 * short
