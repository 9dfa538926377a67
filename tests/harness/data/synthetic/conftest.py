from collections.abc import Mapping

import numpy as np
import pytest

from auharness.data.synthetic import film


@pytest.fixture
def flat_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the renderer by stripes, one per AU and as long as the AU is strong, which cost next to nothing."""

    def stripes(
        identity: object,
        scene: object,
        aus: Mapping[int, float],
        *,
        pose: tuple[float, float, float],
        size: int,
        noise_seed: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        image = np.full((size, size, 3), 90, dtype=np.uint8)
        for row, au in enumerate(sorted(aus)):
            image[4 * row : 4 * row + 4, : int(aus[au] * size)] = (200, 60, 30)
        points = np.random.default_rng(noise_seed).uniform(0, size, (68, 2)).astype(np.float32)
        return image, points + np.float32(pose[0])

    monkeypatch.setattr(film, "render_face", stripes)
