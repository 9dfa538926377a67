import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import pytest


@pytest.fixture
def interpreted() -> Iterator[Callable[..., ModuleType]]:
    """Import fresh copies of modules with Triton kernels that run in Triton's interpreter, on CPU tensors.

    `interpreted("package.kernels", "package.launch")` returns the copy of the last; a module comes after those of its
    own that it imports. The rest of the process keeps its compiled kernels. float32 and float16 only: the interpreter's
    `tl.dot` is wrong for bfloat16.
    """
    triton = pytest.importorskip("triton", reason="the `gpu` extra is not installed")
    if _release(triton) < (3, 7) and _release(np) >= (2, 4):
        pytest.skip("the interpreter of Triton before 3.7 fails on numpy 2.4")
    with ExitStack() as undo:
        undo.enter_context(_interpreter())
        yield lambda *names: undo.enter_context(_fresh(names))


def _release(package: ModuleType) -> tuple[int, ...]:
    return tuple(int(part) for part in package.__version__.split(".")[:2])


@contextmanager
def _interpreter() -> Iterator[None]:
    """Have `triton.jit` interpret what it decorates, Triton's own functions (`tl.sum`) included."""
    import triton
    from triton.runtime import interpreter
    from triton.runtime.interpreter import InterpretedFunction
    from triton.runtime.jit import JITFunction

    # what kernels and torch.compile import of the language later on must not be made by the interpreter, nor go with it
    import_module("triton.language.extra.libdevice")
    modules = [module for name, module in sys.modules.items() if name.startswith("triton.language")]
    classes = [value for value in vars(triton.language.core).values() if isinstance(value, type)]
    # running a kernel replaces functions of the language and does not put all of them back
    before = [(owner, dict(vars(owner))) for owner in (*modules, *classes)]
    interprets = triton.knobs.runtime.interpret
    triton.knobs.runtime.interpret = True
    for module in modules:
        for name, value in list(vars(module).items()):
            if isinstance(value, JITFunction):
                setattr(module, name, InterpretedFunction(value.fn))
    patch_lang, interpreter._patch_lang = interpreter._patch_lang, _once_per_launch(interpreter._patch_lang)
    try:
        yield
    finally:
        interpreter._patch_lang = patch_lang
        triton.knobs.runtime.interpret = interprets
        for owner, attributes in before:
            _restore(owner, attributes)


def _once_per_launch(patch_lang: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Replace the language's functions once per launch and module, not at every call inside of it: 1.6 times faster."""
    done: set[frozenset[str]] = set()

    def patch(function: Any) -> Any:
        languages = frozenset(name for name in function.__globals__ if name in ("tl", "core"))
        if languages in done:
            return None
        scope = patch_lang(function)
        if not done and scope is not None:
            restore = scope.restore
            scope.restore = lambda: (done.clear(), restore())
        done.add(languages)
        return scope

    return patch


def _restore(owner: Any, attributes: dict[str, Any]) -> None:
    for name, value in list(vars(owner).items()):
        if name not in attributes:
            delattr(owner, name)
        elif value is not attributes[name]:
            setattr(owner, name, attributes[name])


@contextmanager
def _fresh(names: tuple[str, ...]) -> Iterator[ModuleType]:
    kept = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    try:
        yield [import_module(name) for name in names][-1]
    finally:
        for name in names:
            sys.modules.pop(name, None)
            parent, _, child = name.rpartition(".")
            if name not in kept and hasattr(sys.modules[parent], child):
                delattr(sys.modules[parent], child)
            elif name in kept:
                setattr(sys.modules[parent], child, kept[name])
        sys.modules.update(kept)
