import pytest
import torch

from auharness.efficiency.cpu_peak import multiply_adds_per_second


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_no_matrix_product_is_faster_than_multiply_adds_in_registers(one_thread):
    from auharness.scaling.machine import _products

    product = _products(512, torch.device("cpu"), torch.float32, 0.05)
    assert 2 * multiply_adds_per_second(seconds=0.05) > 0.9 * product
