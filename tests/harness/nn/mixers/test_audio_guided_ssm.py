import pytest
import torch
from torch.nn import functional as F

from auharness.efficiency.memory import peak_bytes, saved_bytes
from auharness.nn.mixers import AudioGuidedSSM


def features(*shape, seed=3):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def section_3_3(layer, x, audio):
    """Follow the equations frame by frame, with the matrices that they are written with."""
    inner, state_size = layer.A_log.shape
    identity = torch.eye(state_size, dtype=x.dtype)
    outputs = []
    for video_clip, audio_clip in zip(x, audio, strict=True):
        h = torch.zeros(inner, state_size, dtype=x.dtype)
        for x_v, x_a in zip(video_clip, audio_clip, strict=True):
            s = layer.s_proj(torch.cat((x_v, x_a)))
            step = F.softplus(layer.dt_proj.bias + layer.dt_proj.weight @ s)
            B, C = layer.B_proj.weight @ s, layer.C_proj.weight @ s
            gated = (layer.in_proj.weight @ x_v) * torch.sigmoid(layer.gate.weight @ x_a)
            rows = []
            for channel in range(inner):
                A = torch.diag(-layer.A_log[channel].exp())
                decay = torch.linalg.matrix_exp(step[channel] * A)
                taken_in = torch.linalg.inv(step[channel] * A) @ (decay - identity) @ (step[channel] * B)
                rows.append(decay @ h[channel] + taken_in * gated[channel])
            h = torch.stack(rows)
            outputs.append(layer.out_proj.weight @ (h @ C))
    return torch.stack(outputs).view(x.shape)


@pytest.mark.parametrize("audio_dim", [None, 5])
def test_is_section_3_3(audio_dim):
    layer = AudioGuidedSSM(8, audio_dim=audio_dim, inner=6, state_size=3).double()
    x, audio = features(2, 7, 8), features(2, 7, audio_dim or 8, seed=4)
    truth = section_3_3(layer, x, audio)
    # at small steps torch's matrix_exp is off by up to 1e-10 of exp(Delta A) - I
    assert (layer(x, audio) - truth).norm() <= 1e-8 * truth.norm()


def test_has_the_sizes_of_section_4_1():
    layer = AudioGuidedSSM(768, audio_dim=1024)
    assert layer.A_log.shape == (64, 16)
    # s, steps, B and C, gate, decay, projections in and out
    expected = (1792 * 768 + 768) + (768 * 64 + 64) + 2 * 768 * 16 + 1024 * 64 + 64 * 16 + 2 * 768 * 64
    assert sum(p.numel() for p in layer.parameters()) == expected


def test_holds_the_input_over_a_step_unless_asked_for_eulers():
    layer = AudioGuidedSSM(8).double()
    x, audio = features(1, 7, 8), features(1, 7, 8, seed=4)
    held = layer(x, audio)
    layer.discretization = "euler"
    assert not torch.allclose(layer(x, audio), held, rtol=1e-3)
    # the two meet for short steps
    with torch.no_grad():
        layer.dt_proj.weight.zero_()
        layer.dt_proj.bias.fill_(-15)
    euler = layer(x, audio)
    layer.discretization = "zoh"
    assert (layer(x, audio) - euler).norm() <= 1e-5 * euler.norm()


def test_a_frame_hears_and_sees_itself_and_the_past_only():
    layer = AudioGuidedSSM(8).double()
    inputs = [features(1, 9, 8).requires_grad_(), features(1, 9, 8, seed=4).requires_grad_()]
    for seen in torch.autograd.grad(layer(*inputs)[0, 4].sum(), inputs):
        assert (seen[0, :5].abs().amax(-1) > 0).all()
        assert seen[0, 5:].abs().max() == 0


def test_a_closed_gate_leaves_nothing_of_the_video():
    layer = AudioGuidedSSM(8).double()
    with torch.no_grad():
        layer.gate.weight.fill_(-200)
    out = layer(features(1, 9, 8), torch.ones(1, 9, 8, dtype=torch.float64))
    assert out.abs().max() < 1e-100


def test_every_parameter_gets_a_finite_gradient():
    layer = AudioGuidedSSM(24, audio_dim=10)
    layer(features(2, 9, 24).float(), features(2, 9, 10).float()).square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.abs().max() > 0, name


def test_the_backends_agree():
    fast, plain = (AudioGuidedSSM(16, backend=name) for name in (None, "reference"))
    plain.load_state_dict(fast.state_dict())
    x, audio = features(2, 10, 16).float(), features(2, 10, 16, seed=4).float()
    torch.testing.assert_close(fast(x, audio), plain(x, audio))


def test_guidance_is_what_the_scan_takes():
    layer = AudioGuidedSSM(8, inner=6, state_size=3).double()
    x, audio = features(2, 7, 8), features(2, 7, 8, seed=4)
    delta, gate = layer.guidance(x, audio)
    s = x @ layer.s_proj.weight[:, :8].T + audio @ layer.s_proj.weight[:, 8:].T + layer.s_proj.bias
    raw = s @ layer.dt_proj.weight.T + layer.dt_proj.bias
    torch.testing.assert_close(delta, (1 + raw.exp()).log())
    torch.testing.assert_close(gate, 1 / (1 + (-audio @ layer.gate.weight.T).exp()))


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_memory_of_training_and_inference_grows_linearly_with_the_frames(backend):
    layer = AudioGuidedSSM(32, inner=16, backend=backend)

    def needed(frames):
        x, audio = torch.randn(1, frames, 32), torch.randn(1, frames, 32)
        inference = peak_bytes(lambda: torch.no_grad()(layer)(x, audio), device=x.device)
        training = peak_bytes(lambda: layer(x, audio).sum().backward(), device=x.device)
        kept = saved_bytes(lambda: layer(x, audio), inputs=[x, audio, *layer.parameters()])
        return inference, training, kept

    # beside the parameters' gradients, which do not grow
    for first, second, third in zip(*map(needed, (1024, 2048, 4096)), strict=True):
        assert (third - second) / 2048 == pytest.approx((second - first) / 1024, rel=0.03)
        assert third > 3 * first
