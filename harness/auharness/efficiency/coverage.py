"""What a forward pass does beside its matrix products, and which of its operators no rule covers."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from auharness.efficiency.rules import Call, is_view, other_flops

__all__ = ["Audit", "Uncounted"]


@dataclass(frozen=True)
class Uncounted:
    """An operator without a rule.

    Attributes:
        operator: such as `aten.sort`.
        calls: times it ran.
        elements: that it returned in all.
    """

    operator: str
    calls: int
    elements: int


@dataclass
class _Tally:
    calls: int = 0
    elements: int = 0


@dataclass
class _Totals:
    flops: int = 0
    covered: int = 0
    missing: dict[str, _Tally] = field(default_factory=dict)


class Audit(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """A context that watches every operator below autograd; views, which move nothing, are left out."""

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self._totals = _Totals()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operator and note it."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if not is_view(func):
            self._note(Call(func, args, kwargs, out))
        return out

    def _note(self, call: Call) -> None:
        elements = sum(x.numel() for x in tree_leaves(call.out) if isinstance(x, Tensor))
        flops = other_flops(call)
        if flops is not None:
            self._totals.flops += flops
            self._totals.covered += elements
        elif elements:
            tally = self._totals.missing.setdefault(str(getattr(call.func, "overloadpacket", call.func)), _Tally())
            tally.calls += 1
            tally.elements += elements

    @property
    def flops(self) -> int:
        """FLOPs so far beside 2 per MAC."""
        return self._totals.flops

    @property
    def coverage(self) -> float:
        """Share of the elements returned by operators that have a rule, in [0, 1]; 1 where nothing was returned."""
        missing = sum(tally.elements for tally in self._totals.missing.values())
        return self._totals.covered / (self._totals.covered + missing) if missing else 1.0

    @property
    def uncounted(self) -> tuple[Uncounted, ...]:
        """Operators without a rule, those that return most first."""
        found = [Uncounted(name, tally.calls, tally.elements) for name, tally in self._totals.missing.items()]
        return tuple(sorted(found, key=lambda x: (-x.elements, x.operator)))
