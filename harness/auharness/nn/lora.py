"""A frozen language model as a layer, of which only low-rank adapters learn (Hu et al., ICLR 2022; AU-LLM, sec. 3.3).

The frozen tensors are those of the process's one base: layers and their copies share the storage, and none of them puts
the base into its state. So a fold costs its adapters, and a checkpoint holds what training changed.
"""

import copy
from collections.abc import Iterable
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from auharness.errors import IntegrityError
from auharness.nn.language_model import Base, checksum

__all__ = ["TARGETS", "LanguageReader"]

TARGETS = ("q_proj", "v_proj")
"""Layers of each attention that get an adapter."""


class LanguageReader(nn.Module):
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

    prompt_ids: Tensor
    base_checksum: Tensor

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
        super().__init__()
        self.prompt_first = prompt_first
        self.model: Any = copy.deepcopy(base.model, _sharing(base.model.parameters()))
        if rank:
            _add_adapters(self.model, rank=rank, alpha=alpha, dropout=dropout)
        self._frozen = frozenset(name for name, value in self.named_parameters() if not value.requires_grad)
        self.register_buffer("prompt_ids", torch.tensor(base.token_ids(prompt)))
        self.register_buffer("base_checksum", torch.tensor(base.checksum))
        untyped: Any = self  # as torch leaves these
        untyped.register_state_dict_post_hook(_leave_out)
        untyped.register_load_state_dict_pre_hook(_same_base)
        untyped.register_load_state_dict_post_hook(_not_missing)

    def forward(self, tokens: Tensor) -> Tensor:
        words = self.model.get_input_embeddings()(self.prompt_ids)
        parts = (words.expand(len(tokens), -1, -1), tokens.to(words.dtype))
        sequence = torch.cat(parts if self.prompt_first else parts[::-1], dim=1)
        length = sequence.shape[1]
        # given, so that the decoder need not look into its input to make one
        causal = torch.ones(length, length, dtype=torch.bool, device=sequence.device).tril()[None, None]
        states = self.model(inputs_embeds=sequence, attention_mask=causal, use_cache=False).last_hidden_state
        return states[:, -1].to(tokens.dtype)

    def verify(self) -> None:
        """Refuse to go on if the frozen tensors are no longer those that were loaded.

        Raises:
            IntegrityError: naming both checksums.
        """
        found, loaded = checksum(self._frozen_tensors()), int(self.base_checksum)
        if found != loaded:
            raise IntegrityError(
                f"the frozen language model changed while it was trained: checksum {found:x}, expected {loaded:x}; "
                "no optimiser may hold its parameters"
            )

    def _frozen_tensors(self) -> list[nn.Parameter]:
        return [value for name, value in self.named_parameters() if name in self._frozen]

    def __deepcopy__(self, memo: dict[int, Any]) -> "LanguageReader":
        memo.update(_sharing(self._frozen_tensors()))
        twin = type(self).__new__(type(self))
        memo[id(self)] = twin
        twin.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return twin


def _sharing(parameters: Iterable[nn.Parameter]) -> dict[int, Any]:
    """Return a memo with which `deepcopy` makes new parameters of the same storage."""
    # not the parameter itself: moving or casting the copy would change the original
    return {id(value): nn.Parameter(value.data, requires_grad=False) for value in parameters}


def _add_adapters(model: nn.Module, *, rank: int, alpha: float, dropout: float) -> None:
    peft = import_module("peft")
    config = peft.LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=list(TARGETS), bias="none")
    peft.inject_adapter_in_model(config, model)
    for value in model.parameters():
        if value.requires_grad:
            # small steps vanish in half precision
            value.data = value.data.float()


def _leave_out(module: nn.Module, state: dict[str, Any], prefix: str, local_metadata: Any) -> None:
    assert isinstance(module, LanguageReader)
    for name in module._frozen:
        del state[prefix + name]


def _same_base(module: nn.Module, state: dict[str, Any], prefix: str, *rest: Any) -> None:
    assert isinstance(module, LanguageReader)
    own, given = int(module.base_checksum), state.get(f"{prefix}base_checksum")
    if given is not None and int(given) != own:
        raise IntegrityError(
            f"the weights belong to another language model: checksum {int(given):x}, expected {own:x} of the one that "
            "is loaded; take the same backbone, init and llm_dtype"
        )


def _not_missing(module: nn.Module, keys: Any) -> None:
    assert isinstance(module, LanguageReader)
    keys.missing_keys[:] = [key for key in keys.missing_keys if not key.endswith(tuple(module._frozen))]
