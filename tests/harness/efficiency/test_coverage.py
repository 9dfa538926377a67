import torch
from torch import library

from auharness.efficiency import Uncounted, count


@library.custom_op("auharness_test::exp", mutates_args=())
def unknown(x: torch.Tensor) -> torch.Tensor:
    return 2 * x


@unknown.register_fake
def _(x: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x)


def test_an_operator_without_a_rule_is_listed_and_lowers_the_share():
    cost = count(lambda x: torch.sort(x + 1), [torch.zeros(10)])
    assert cost.uncounted == (Uncounted("aten.sort", calls=1, elements=20),)
    assert cost.coverage == 10 / 30
    assert cost.flops == 10


def test_an_operator_of_another_library_is_listed_by_its_full_name():
    cost = count(lambda x: unknown(unknown(x)), [torch.zeros(3, device="meta")])
    assert cost.uncounted[0] == Uncounted("auharness_test.exp", calls=2, elements=6)
    assert cost.coverage < 1


def test_those_that_return_most_come_first():
    cost = count(lambda x: (x.topk(2), torch.sort(x), torch.sort(x)), [torch.zeros(10)])
    assert [found.operator for found in cost.uncounted] == ["aten.sort", "aten.topk"]
    assert cost.uncounted[0].calls == 2
    assert cost.coverage == 0


def test_views_weigh_nothing():
    assert count(lambda x: torch.sort(x.view(2, 5).T.flatten()), [torch.zeros(10)]).coverage == 10 / 30
    assert count(lambda x: x.view(2, 5), [torch.zeros(10)]).coverage == 1
