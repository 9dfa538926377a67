import pytest

from auharness.errors import UsageError
from auharness.nn.foundation import check_foundation


def test_names_of_encoders():
    assert check_foundation("hf:some/where", ("dinov2",)) == "hf:some/where"
    with pytest.raises(UsageError, match="did you mean 'dinov2-vitl14'"):
        check_foundation("dinov2-vitl4", ("dinov2", "vit"))
    with pytest.raises(UsageError, match="got 'wavlm-large'"):
        check_foundation("wavlm-large", ("dinov2", "vit"))
