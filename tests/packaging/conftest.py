"""A stranger's distribution: package files and metadata as an installer leaves them, on a path of their own."""

import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from textwrap import dedent

import pytest

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install modules as a distribution and make them importable here; returns the folder for PYTHONPATH."""
    before = set(sys.modules)
    sites: list[Path] = []

    def installed(package: str, modules: Mapping[str, str], **groups: Mapping[str, str]) -> Path:
        site = tmp_path / f"site{len(sites)}"
        sites.append(site)
        info = site / f"{package.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8")
        entries = "".join(
            f"[auharness.{group}]\n" + "".join(f"{name} = {module}\n" for name, module in points.items())
            for group, points in groups.items()
        )
        (info / "entry_points.txt").write_text(entries, encoding="utf-8")
        for module, source in modules.items():
            (site / f"{module}.py").write_text(dedent(source), encoding="utf-8")
        monkeypatch.syspath_prepend(site)
        return site

    yield installed
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def model_source() -> Callable[[str], str]:
    """Return the source of a model plugin that imports nothing heavy, by its name."""

    def source(name: str) -> str:
        return dedent(
            f'''
            """A stranger's model."""
            from auharness import ModelPlugin, Task, hookimpl

            class Net(ModelPlugin):
                name = "{name}"

                def build(self, task: Task):
                    raise NotImplementedError

            @hookimpl
            def auharness_model():
                return Net
            '''
        )

    return source
