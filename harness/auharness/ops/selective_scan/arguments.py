"""The one place where the shapes of the operator's arguments are checked and spelt out."""

from torch import Tensor

from auharness.ops.backends import full_type

__all__ = ["fitted"]


def fitted(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None,
    z: Tensor | None,
    delta_bias: Tensor | None,
    initial_state: Tensor | None,
    *,
    directions: int,
    widen: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor | None, Tensor | None, Tensor | None, Tensor | None]:
    """Return the tensors with the axis of directions spelt out (as views); `widen` to one type >= float32."""
    if u.ndim != 4 or u.numel() == 0:
        raise ValueError(f"selective_scan: u is {list(u.shape)}, expected batch, token, dim, none of them empty")
    if A.ndim != 3 or A.shape[-1] == 0:
        raise ValueError(f"selective_scan: A is {list(A.shape)}, expected dim, state, none of them empty")
    _, batch, token, dim = u.shape
    state = A.shape[-1]
    # the state keeps full precision: it is a running sum of small steps
    kind = full_type(u, delta, A, B, C, D, z, delta_bias, initial_state)

    def spelt_out(name: str, x: Tensor, *shape: int) -> Tensor:
        try:
            return (x.to(kind) if widen else x).expand(directions, *shape)
        except RuntimeError as error:
            raise ValueError(
                f"selective_scan: {name} is {list(x.shape)}, expected {[directions, *shape]} or 1 for a shared axis"
            ) from error

    return (
        spelt_out("u", u, batch, token, dim),
        spelt_out("delta", delta, batch, token, dim),
        spelt_out("A", A, dim, state),
        spelt_out("B", B, batch, token, state),
        spelt_out("C", C, batch, token, state),
        None if D is None else spelt_out("D", D, dim),
        None if z is None else spelt_out("z", z, batch, token, dim),
        None if delta_bias is None else spelt_out("delta_bias", delta_bias, dim),
        None if initial_state is None else spelt_out("initial_state", initial_state, batch, dim, state),
    )
