import pytest
import torch

from auharness.efficiency.memory import peak_bytes, saved_bytes

CPU = torch.device("cpu")
KIB = torch.zeros(256)
"""1,024 bytes."""


def test_the_peak_counts_what_is_alive_at_once_and_not_the_inputs():
    def chain():
        x = KIB + 1  # 1 alive
        y = x * 2  # 2 alive
        del x
        z = y - 1  # 2 alive
        return y, z

    assert peak_bytes(chain, device=CPU) == 2 * 1024
    assert peak_bytes(lambda: [KIB + i for i in range(5)], device=CPU) == 5 * 1024
    assert peak_bytes(lambda: KIB.view(2, 128).T, device=CPU) == 0


def test_work_in_place_takes_no_memory():
    x = torch.zeros(256)
    assert peak_bytes(lambda: x.add_(1).mul_(2), device=CPU) == 0


def test_the_peak_of_a_training_step_covers_the_backward_pass():
    x = torch.zeros(256, requires_grad=True)
    forward = peak_bytes(lambda: x.exp().sin(), device=CPU)
    training = peak_bytes(lambda: torch.autograd.grad(x.exp().sin().sum(), x), device=CPU)
    assert forward == 2 * 1024
    assert training > forward


def test_what_is_kept_for_the_backward_pass_is_counted_once_and_without_inputs():
    x, w = torch.zeros(256, requires_grad=True), torch.zeros(256, requires_grad=True)
    assert saved_bytes(lambda: x * w, inputs=[x, w]) == 0
    assert saved_bytes(lambda: x.exp(), inputs=[x, w]) == 1024
    # the result of exp is kept by exp and by both products, once
    assert saved_bytes(lambda: (y := x.exp()) * w + y * x, inputs=[x, w]) == 1024
    with torch.no_grad():
        assert saved_bytes(lambda: x.exp(), inputs=[x, w]) == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_allocator_counts_on_a_gpu():
    x = torch.zeros(1 << 20, device="cuda")
    assert peak_bytes(lambda: x + 1, device=x.device) == x.nbytes
