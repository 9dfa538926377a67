"""Seeds as a function of names and numbers, so that no result depends on the order of work."""

import hashlib
import random
from typing import Any

import numpy as np
import torch

__all__ = ["derive_seed", "generator", "rng_state", "seed_all", "set_rng_state"]


def derive_seed(*parts: int | str) -> int:
    """Return a 63-bit seed that depends on every part.

    >>> derive_seed(0, "P1") == derive_seed(0, "P1"), derive_seed(0, "P1") == derive_seed(0, "P2")
    (True, False)
    """
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(*parts: int | str) -> torch.Generator:
    """Return a CPU generator seeded by `derive_seed`."""
    made = torch.Generator()
    made.manual_seed(derive_seed(*parts))
    return made


def seed_all(*parts: int | str) -> None:
    """Seed torch on every device, numpy and Python's random module."""
    seed = derive_seed(*parts)
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def rng_state() -> dict[str, Any]:
    """Return the states of what `seed_all` seeds on the CPU, as a checkpoint can hold them."""
    name, keys, *rest = np.random.get_state(legacy=True)
    version, words, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "numpy": (name, torch.from_numpy(np.asarray(keys, np.int64)), *rest),
        "python": (version, torch.tensor(words), gauss),
    }


def set_rng_state(state: dict[str, Any]) -> None:
    """Take back what `rng_state` returned."""
    torch.set_rng_state(state["torch"])
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words.tolist()), gauss))
