import doctest
from pathlib import Path

import auharness.efficiency


def test_the_examples_of_the_readme_come_out():
    readme = Path(auharness.efficiency.__file__).parent / "README.md"
    found = doctest.testfile(str(readme), module_relative=False)
    assert found.attempted >= 4
    assert found.failed == 0
