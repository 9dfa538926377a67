"""A pre-trained module as a layer, of which only what is added to it learns.

The frozen tensors are those of the process's one base: layers and their copies share the storage, and none of them puts
the base into its state. So a fold costs its adapters, and a checkpoint holds what training changed.
"""

import copy
from collections.abc import Callable, Iterable
from functools import partial
from importlib import import_module
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from auharness.errors import IntegrityError
from auharness.nn.language_model import checksum

__all__ = ["FrozenBase", "add_lora", "bind_to_base", "verify_frozen"]


class FrozenBase(nn.Module):
    """A copy of a frozen model with fresh adapters, as `model`; the copy shares the frozen tensors.

    The model itself stays in evaluation mode, so that no dropout of its own acts; the adapters' dropout does.

    Args:
        model: frozen; never changed.
        loaded: its `checksum` as it was loaded.
        adapt: puts trainable parts into the copy.
    """

    what: ClassVar[str] = "encoder"
    """The word for the model in messages."""
    cure: ClassVar[str] = "take the same encoder and init"
    """What helps if weights belong to another model."""

    base_checksum: Tensor

    def __init__(self, model: nn.Module, *, loaded: int, adapt: Callable[[Any], None]) -> None:
        super().__init__()
        self.model: Any = copy.deepcopy(model, _sharing(model.parameters()))
        adapt(self.model)
        self._frozen = frozenset(name for name, value in self.named_parameters() if not value.requires_grad)
        bind_to_base(self, loaded, what=self.what, cure=self.cure)
        untyped: Any = self  # as torch leaves these
        untyped.register_state_dict_post_hook(_leave_out)
        untyped.register_load_state_dict_post_hook(_not_missing)

    def train(self, mode: bool = True) -> "FrozenBase":
        super().train(mode)
        self.model.eval()
        for name, part in self.model.named_modules():
            if "lora_dropout" in name:
                part.train(mode)
        return self

    def verify(self) -> None:
        """Refuse to go on if the frozen tensors are no longer those that were loaded.

        Raises:
            IntegrityError: naming both checksums.
        """
        found, loaded = checksum(self._frozen_tensors()), int(self.base_checksum)
        if found != loaded:
            raise IntegrityError(
                f"the frozen {self.what} changed while it was trained: checksum {found:x}, expected {loaded:x}; "
                "no optimiser may hold its parameters"
            )

    def _frozen_tensors(self) -> list[nn.Parameter]:
        return [value for name, value in self.named_parameters() if name in self._frozen]

    def __deepcopy__(self, memo: dict[int, Any]) -> "FrozenBase":
        memo.update(_sharing(self._frozen_tensors()))
        twin = type(self).__new__(type(self))
        memo[id(self)] = twin
        twin.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return twin


def verify_frozen(module: nn.Module) -> None:
    """Verify every frozen part of a module.

    Raises:
        IntegrityError: as `FrozenBase.verify`.
    """
    for part in module.modules():
        if isinstance(part, FrozenBase):
            part.verify()


def bind_to_base(module: nn.Module, loaded: int, *, what: str = "encoder", cure: str = FrozenBase.cure) -> None:
    """Let a module know the frozen model that it reads, so that it refuses weights learned on another one.

    Args:
        module: gets the buffer `base_checksum`.
        loaded: the model's `checksum`.
        what: the word for the model in the message.
        cure: what helps.
    """
    module.register_buffer("base_checksum", torch.tensor(loaded))
    untyped: Any = module  # as torch leaves this
    untyped.register_load_state_dict_pre_hook(partial(_same_base, what=what, cure=cure))


def add_lora(model: nn.Module, *, targets: str | list[str], rank: int, alpha: float, dropout: float) -> None:
    """Put low-rank adapters, which add 0, on the linear layers of a frozen model (Hu et al., ICLR 2022).

    Args:
        model: changed in place.
        targets: a regular expression for whole names, or the last parts of names.
        rank: of the adapters.
        alpha: their sum is scaled by alpha / rank.
        dropout: probability, on their input.
    """
    peft = import_module("peft")
    config = peft.LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=targets, bias="none")
    peft.inject_adapter_in_model(config, model)
    for value in model.parameters():
        if value.requires_grad:
            # small steps vanish in half precision
            value.data = value.data.float()


def _sharing(parameters: Iterable[nn.Parameter]) -> dict[int, Any]:
    """Return a memo with which `deepcopy` makes new parameters of the same storage."""
    # not the parameter itself: moving or casting the copy would change the original
    return {id(value): nn.Parameter(value.data, requires_grad=False) for value in parameters}


def _leave_out(module: nn.Module, state: dict[str, Any], prefix: str, local_metadata: Any) -> None:
    assert isinstance(module, FrozenBase)
    for name in module._frozen:
        del state[prefix + name]


def _same_base(module: nn.Module, state: dict[str, Any], prefix: str, *rest: Any, what: str, cure: str) -> None:
    own, given = int(module.get_buffer("base_checksum")), state.get(f"{prefix}base_checksum")
    if given is not None and int(given) != own:
        raise IntegrityError(
            f"the weights belong to another {what}: checksum {int(given):x}, expected {own:x} of the one that is "
            f"loaded; {cure}"
        )


def _not_missing(module: nn.Module, keys: Any) -> None:
    assert isinstance(module, FrozenBase)
    keys.missing_keys[:] = [key for key in keys.missing_keys if not key.endswith(tuple(module._frozen))]
