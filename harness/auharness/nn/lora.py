"""A frozen language model of which only low-rank adapters learn (Hu et al., ICLR 2022; AU-LLM, sec. 3.3)."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from auharness.nn.frozen import FrozenBase, add_lora
from auharness.nn.language_model import Base

__all__ = ["TARGETS", "LanguageReader"]

TARGETS = ("q_proj", "v_proj")
"""Layers of each attention that get an adapter."""


class LanguageReader(FrozenBase):
    """Tokens `[B,N,D]` beside a fixed prompt to the last hidden state at the last position, `[B,D]`.

    No position is padding, so the last one has seen all tokens. The adapters are fresh: they add 0.

    Args:
        base: the frozen decoder; never changed.
        prompt: text before or after the tokens, at least one token long.
        rank: of the adapters on `TARGETS`; 0 leaves the decoder as it is.
        alpha: the adapters' sum is scaled by alpha / rank.
        dropout: probability, on the input of the adapters.
        prompt_first: the prompt comes before the tokens.
    """

    what: ClassVar[str] = "language model"
    cure: ClassVar[str] = "take the same backbone, init and llm_dtype"

    prompt_ids: Tensor

    def __init__(
        self,
        base: Base,
        *,
        prompt: str,
        rank: int = 16,
        alpha: float = 32,
        dropout: float = 0.1,
        prompt_first: bool = False,
    ) -> None:
        def adapt(model: Any) -> None:
            if rank:
                add_lora(model, targets=list(TARGETS), rank=rank, alpha=alpha, dropout=dropout)

        super().__init__(base.model, loaded=base.checksum, adapt=adapt)
        self.prompt_first = prompt_first
        self.register_buffer("prompt_ids", torch.tensor(base.token_ids(prompt)))

    def forward(self, tokens: Tensor) -> Tensor:
        words = self.model.get_input_embeddings()(self.prompt_ids)
        parts = (words.expand(len(tokens), -1, -1), tokens.to(words.dtype))
        sequence = torch.cat(parts if self.prompt_first else parts[::-1], dim=1)
        length = sequence.shape[1]
        # given, so that the decoder need not look into its input to make one
        causal = torch.ones(length, length, dtype=torch.bool, device=sequence.device).tril()[None, None]
        states = self.model(inputs_embeds=sequence, attention_mask=causal, use_cache=False).last_hidden_state
        return states[:, -1].to(tokens.dtype)
