"""Observers: light third-party modules of the group `auharness.hooks` that watch a run and never change it."""

import pluggy

from auharness.hookspecs import ObserverSpecs
from auharness.registry.loading import import_module, new_manager, register
from auharness.registry.names import Offer, blocked, third_party

__all__ = ["notify", "observers"]


def observers(*more: object) -> pluggy.PluginManager:
    """Return a manager that holds every installed observer, and any further objects with observer hooks.

    Raises:
        PluginError: if an observer cannot be imported or has a misspelled hook.
        DataError: if an optional package of an observer is missing.
    """
    manager = new_manager(ObserverSpecs)
    for offer in third_party("hook"):
        if not blocked(offer):
            register(manager, offer, import_module(offer))
    for position, observer in enumerate(more):
        name = f"observer-{position}"
        register(manager, Offer("hook", name, type(observer).__module__, "caller"), observer)
    return manager


def notify(manager: pluggy.PluginManager, hook: str, **values: object) -> list[str]:
    """Call one hook of every observer and return a line for each observer that raised; the others are still called.

    Args:
        manager: from `observers`.
        hook: e.g. `auharness_run_started`.
        values: the arguments of the hook.
    """
    problems = []
    plugins = manager.get_plugins()
    for plugin in sorted(plugins, key=lambda plugin: str(manager.get_name(plugin))):
        caller = manager.subset_hook_caller(hook, [other for other in plugins if other is not plugin])
        try:
            caller(**values)
        except Exception as error:  # an observer may raise anything and must not stop a run
            problems.append(f"observer '{manager.get_name(plugin)}': {hook} raised {type(error).__name__}: {error}")
    return problems
