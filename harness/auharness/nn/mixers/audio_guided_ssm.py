"""AG-SSM: a scan over video features whose step sizes, weights and gate follow the audio beside them.

Yu et al., "Hierarchical Granularity Alignment and State Space Modeling for Robust Multimodal AU Detection in the Wild",
2026, arXiv:2603.11306, section 3.3. No original code is known.

Where the paper is silent or the text allows two readings:
 1. Size: "the expanded state dimension is set to 64" (section 4.1) is taken for the channels of the scan. Its `x^v` is
    then a projection of the video to 64 channels, and a second one leads back; both without bias, as in Mamba. The
    equations have neither.
 2. `s_t = Linear_s(x^v || x^a)` reads the video before that projection and has its channels, as written.
 3. Audio features may have a width of their own: `Linear_s` and `W_g` take them as they come.
 4. `W_g` gives one gate per channel of the scan; it is written as a matrix, so it has no bias.
 5. `Linear_Delta` gives one step size per channel, in one full projection: Mamba's low rank would save nothing at 64
    channels. `Parameter_Delta` is its bias; both start as in Mamba.
 6. `Linear_s` has a bias; `Linear_B` and `Linear_C` have none, as in Mamba.
 7. `A` is diagonal, `-exp(A_log)`, starting at -1 to -N in each channel. It is written as a matrix, but only a diagonal
    one has the elementwise `exp(Delta A)` of a selective scan.
 8. Zero-order hold is exact, through `expm1(Delta A) / A`; `discretization = euler` is Mamba's step.
 9. No skip `D x`, no `silu(z)` and no convolution: the equations have none.
10. The scan is causal, as the equations are, although the text calls it a variant of Vision Mamba.
11. Residual, norm and depth belong to the model around it.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from auharness.nn.mixers.state_space import decay_rates, start_rates, start_steps
from auharness.ops.selective_scan import Discretization, selective_scan

__all__ = ["AudioGuidedSSM"]


class AudioGuidedSSM(nn.Module):
    """Scan video features as the audio beside them says, `[B,T,dim], [B,T,audio_dim] -> [B,T,dim]` (section 3.3).

    Args:
        dim: channels of the video features.
        audio_dim: channels of the audio features, one per video frame; None is `dim`.
        inner: channels of the scan.
        state_size: numbers that each of them remembers.
        discretization: `zoh`, or `euler`.
        backend: of `auharness.ops.selective_scan`; None chooses.
    """

    def __init__(
        self,
        dim: int,
        *,
        audio_dim: int | None = None,
        inner: int = 64,  # sec. 4.1
        state_size: int = 16,  # sec. 4.1
        discretization: Discretization = "zoh",
        backend: str | None = None,
    ) -> None:
        super().__init__()
        audio_dim = audio_dim or dim
        self.discretization, self.backend = discretization, backend
        self.in_proj = nn.Linear(dim, inner, bias=False)
        self.s_proj = nn.Linear(dim + audio_dim, dim)
        self.dt_proj = nn.Linear(dim, inner)
        self.B_proj = nn.Linear(dim, state_size, bias=False)
        self.C_proj = nn.Linear(dim, state_size, bias=False)
        self.gate = nn.Linear(audio_dim, inner, bias=False)
        self.A_log = nn.Parameter(torch.empty(inner, state_size))
        self.out_proj = nn.Linear(inner, dim, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw decay and step sizes as Mamba's authors do, the projections as torch does."""
        for part in self.children():
            if isinstance(part, nn.Linear):
                part.reset_parameters()
        start_steps(self.dt_proj.bias)
        start_rates(self.A_log)

    def forward(self, x: Tensor, audio: Tensor) -> Tensor:
        described = self.s_proj(torch.cat((x, audio), -1))
        y = selective_scan(
            self.in_proj(x) * torch.sigmoid(self.gate(audio)),
            F.linear(described, self.dt_proj.weight),
            decay_rates(self.A_log),
            self.B_proj(described),
            self.C_proj(described),
            delta_bias=self.dt_proj.bias,
            delta_softplus=True,
            discretization=self.discretization,
            backend=self.backend,
        )
        return self.out_proj(y)

    def guidance(self, x: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Return the step sizes Delta_t and the gates g_t that `forward` has of the same input, each `[B,T,inner]`."""
        described = self.s_proj(torch.cat((x, audio), -1))
        return F.softplus(self.dt_proj(described)), torch.sigmoid(self.gate(audio))
