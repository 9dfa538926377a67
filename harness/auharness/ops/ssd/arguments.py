"""The one place where the shapes of the operator's arguments are checked and spelt out."""

from torch import Tensor

from auharness.ops.backends import full_type

__all__ = ["fitted"]


def fitted(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    initial_state: Tensor | None,
    *,
    directions: int,
    widen: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor | None]:
    """Return the tensors with the axis of directions spelt out (as views); `widen` to one type >= float32.

    `B` and `C` come back as `[directions, batch, token, group, N]`, with one group where all heads share both.
    """
    if x.ndim != 5 or x.numel() == 0:
        raise ValueError(f"ssd: x is {list(x.shape)}, expected batch, token, head, P, none of them empty")
    _, batch, token, head, width = x.shape
    state, groups = _groups(B, C, head)
    # the state keeps full precision: it is a running sum of small steps
    kind = full_type(x, dt, A, B, C, initial_state)

    def spelt_out(name: str, tensor: Tensor, *shape: int) -> Tensor:
        try:
            return (tensor.to(kind) if widen else tensor).expand(directions, *shape)
        except RuntimeError as error:
            raise ValueError(
                f"ssd: {name} is {list(tensor.shape)}, expected {[directions, *shape]} or 1 for a shared axis"
            ) from error

    def weights(name: str, tensor: Tensor) -> Tensor:
        if tensor.ndim == 4:
            # the axis of groups is added after the check, so that a message shows what was given
            return spelt_out(name, tensor, batch, token, state)[..., None, :].expand(-1, -1, -1, groups, -1)
        return spelt_out(name, tensor, batch, token, groups, state)

    return (
        spelt_out("x", x, batch, token, head, width),
        spelt_out("dt", dt, batch, token, head),
        spelt_out("A", A, head),
        weights("B", B),
        weights("C", C),
        None if initial_state is None else spelt_out("initial_state", initial_state, batch, head, width, state),
    )


def _groups(B: Tensor, C: Tensor, head: int) -> tuple[int, int]:
    """Return the length of the state and in how many groups the heads share their weights: 1 or `head`."""
    for name, tensor in (("B", B), ("C", C)):
        if tensor.ndim not in (4, 5) or tensor.shape[-1] == 0:
            raise ValueError(
                f"ssd: {name} is {list(tensor.shape)}, expected batch, token, N or batch, token, head, N, none empty"
            )
    return B.shape[-1], 1 if B.ndim == C.ndim == 4 else head
