import inspect
from types import ModuleType

import pytest

from auharness import hookimpl, registry
from auharness.errors import PluginError
from auharness.hookspecs import ObserverSpecs

SEEN: list[str] = []


class Watcher:
    @hookimpl
    def auharness_run_finished(self, status):
        SEEN.append(status)


class Grumbler:
    @hookimpl
    def auharness_run_finished(self, run_dir, status):
        raise ValueError(f"no {status}")


def test_every_observer_is_called_even_if_one_raises():
    SEEN.clear()
    manager = registry.observers(Grumbler(), Watcher())
    problems = registry.notify(manager, "auharness_run_finished", run_dir="runs/x", status="finished")
    assert SEEN == ["finished"]
    assert problems == ["observer 'observer-0': auharness_run_finished raised ValueError: no finished"]


def test_installed_observers_are_loaded(install, monkeypatch):
    source = """
        from auharness import hookimpl
        seen = []
        @hookimpl
        def auharness_epoch_finished(unit_id, epoch):
            seen.append((unit_id, epoch))
    """
    install("acme-watch", {"acme_watch": source}, hooks={"watch": "acme_watch"})
    manager = registry.observers()
    assert registry.notify(manager, "auharness_epoch_finished", unit_id="u", epoch=1, values={}) == []
    assert manager.get_plugin("watch").seen == [("u", 1)]
    monkeypatch.setenv("AUHARNESS_BLOCK", "watch")
    assert registry.observers().get_plugins() == set()


def test_a_misspelled_observer_hook_is_an_error(install):
    source = "from auharness import hookimpl\n@hookimpl\ndef auharness_run_finish(status): ...\n"
    install("acme-watch", {"acme_watch": source}, hooks={"watch": "acme_watch"})
    with pytest.raises(PluginError, match="did you mean 'auharness_run_finished'"):
        registry.observers()


HOOKS = [name for name in vars(ObserverSpecs) if name.startswith("auharness_")]


@pytest.mark.parametrize("hook", HOOKS)
def test_every_observer_hook_gets_all_the_arguments_of_its_specification(hook):
    arguments = list(inspect.signature(getattr(ObserverSpecs, hook)).parameters)[1:]
    seen = {}
    source = f"def {hook}({', '.join(arguments)}): seen.update({', '.join(f'{name}={name}' for name in arguments)})"
    scope = {"seen": seen}
    exec(source, scope)  # a function whose parameters carry the names that pluggy matches
    observer = ModuleType("watch")
    setattr(observer, hook, hookimpl(scope[hook]))
    values = {name: object() for name in arguments}
    assert registry.notify(registry.observers(observer), hook, **values) == []
    assert seen == values
