"""The dispatch rule that all operators share: a small ordered table, the first backend that can serve a call wins."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cache, partial, reduce, wraps
from importlib import import_module
from importlib.util import find_spec
from typing import Generic, ParamSpec, TypeVar, cast

import torch
from torch import Tensor

from auharness.errors import UsageError, near

__all__ = [
    "Backend",
    "called_as_is",
    "choose",
    "full_precision",
    "full_type",
    "import_problem",
    "intercepted",
    "needs",
    "recorded",
    "resolve",
    "spanned",
]

Run = TypeVar("Run", bound=Callable[..., object])
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_used: ContextVar[dict[str, str] | None] = ContextVar("used_backends", default=None)
_answer: ContextVar[Callable[..., object] | None] = ContextVar("answer", default=None)
_span: ContextVar[Callable[[str], AbstractContextManager[object]] | None] = ContextVar("span", default=None)


def _never(query: Tensor, **facts: object) -> str | None:
    return None


def _nothing() -> str | None:
    return None


@dataclass(frozen=True)
class Backend(Generic[Run]):
    """One implementation of an operator.

    Attributes:
        source: the implementation, or `package.module:function` where importing it is costly or may fail.
        missing: why this machine cannot run it (no device, no package, with the cure), or None.
        refuses: given the operator's first tensor and the facts that its `..._backend` function states, why this
            backend cannot serve the call (device, size, option), or None.
        reads_half: it takes float16 and bfloat16 as they are; for the others they are widened to float32 first.
    """

    source: Run | str
    missing: Callable[[], str | None] = _nothing
    refuses: Callable[..., str | None] = _never
    reads_half: bool = False

    @property
    def run(self) -> Run:
        """The implementation, called with the operator's checked arguments."""
        return cast(Run, _imported(self.source)) if isinstance(self.source, str) else self.source

    def problem(self, query: Tensor, **facts: object) -> str | None:
        """Return why this backend cannot serve a call here, or None."""
        return self.missing() or self.refuses(query, **facts)


def resolve(
    operator: str, table: Mapping[str, Backend[Run]], query: Tensor, backend: str | None, **facts: object
) -> str:
    """Return the name of the backend that serves a call: `backend` if given, else the first in the table that can.

    Raises:
        UsageError: `backend` is unknown, or cannot serve this call.
    """
    if backend is None:
        return next(name for name, entry in table.items() if entry.problem(query, **facts) is None)
    if backend not in table:
        raise UsageError(f"{operator} has no backend '{backend}'{near(backend, table)} (backends: {', '.join(table)})")
    reason = table[backend].problem(query, **facts)
    if reason is not None:
        raise UsageError(f"{operator} backend '{backend}' cannot be used here: {reason}; leave backend unset to choose")
    return backend


def choose(
    operator: str, table: Mapping[str, Backend[Run]], query: Tensor, backend: str | None, **facts: object
) -> Backend[Run]:
    """Return the backend that `resolve` names and tell `recorded` about it.

    Raises:
        UsageError: `backend` is unknown, or cannot serve this call.
    """
    answer = _answer.get()
    if answer is not None:
        return Backend(cast(Run, partial(answer, operator)))
    name = resolve(operator, table, query, backend, **facts)
    used = _used.get()
    if used is not None:
        used[operator] = ", ".join(sorted({name, *used.get(operator, name).split(", ")}))
    span = _span.get()
    if span is None:
        return table[name]
    run = partial(_inside, span, f"{operator}[{name}]", table[name].run)
    return replace(table[name], source=cast(Run, run))


def called_as_is(operator: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Have a compiled model call `operator` and not look into it, except where its `reference` is asked for.

    The fast paths go beyond torch (numba, Triton) or write into many views of one piece of memory: torch.compile would
    cut them into fragments, which gains nothing, and torch 2.13 fails where fragments share such memory.
    """

    @wraps(operator)
    def call(*arguments: Arguments.args, **options: Arguments.kwargs) -> Result:
        if torch.compiler.is_compiling() and options.get("backend") != "reference":
            from auharness.ops.uncompiled import uncompiled

            return cast(Result, uncompiled(operator, *arguments, **options))
        return operator(*arguments, **options)

    return call


def needs(
    package: str = "", *, extra: str = "", install: str = "", device: str | None = None, load: bool = True
) -> Callable[[], str | None]:
    """Return a check for `Backend.missing`: the package imports, and torch sees a device of that kind.

    The cheap questions come first: a package that serves a device which is not there is never imported.

    Args:
        package: importable name; empty for none.
        extra: of `auharness`, that installs it.
        install: the command that installs it where no extra does.
        device: `cuda`, or None for any.
        load: False if it is enough that the package is found, because the caller imports it in a way of its own.
    """

    @cache
    def missing() -> str | None:
        if package and find_spec(package) is None:
            cure = install or f'pip install "auharness[{extra}]"'
            return f"{package} is not installed: {cure}"
        if device == "cuda" and not torch.cuda.is_available():
            return "no CUDA device"
        return import_problem(package, partial(import_module, package)) if package and load else None

    return missing


def import_problem(what: str, load: Callable[[], object]) -> str | None:
    """Return in one line why `what`, which `load` imports, does not import, or None."""
    try:
        load()
    except Exception as error:  # a package that is too old or too new for another fails in any way
        return f"{what} does not import: {' '.join(str(error).split()) or type(error).__name__}"
    return None


def full_type(*tensors: Tensor | None) -> torch.dtype:
    """Return the type in which an operator computes: float64 if any of its tensors has that, else float32."""
    return reduce(torch.promote_types, (x.dtype for x in tensors if x is not None), torch.float32)


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which autocast narrows nothing; the device may have none (`meta`)."""
    kind = device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()


@contextmanager
def recorded() -> Iterator[dict[str, str]]:
    """Collect `{operator: backend}` of every call in the body, to be stored with its result; several are listed."""
    used: dict[str, str] = {}
    token = _used.set(used)
    try:
        yield used
    finally:
        _used.reset(token)


@contextmanager
def intercepted(answer: Callable[..., object]) -> Iterator[None]:
    """Have `answer(operator, *tensors, **options)` stand for every backend in the body, whichever is asked for.

    Counters use it: they need what a backend is called with, on any device, and no numbers.
    """
    token = _answer.set(answer)
    try:
        yield
    finally:
        _answer.reset(token)


@contextmanager
def spanned(span: Callable[[str], AbstractContextManager[object]]) -> Iterator[None]:
    """Run every backend in the body inside `span("operator[backend]")`, so that a profiler can name it."""
    token = _span.set(span)
    try:
        yield
    finally:
        _span.reset(token)


def _inside(
    span: Callable[[str], AbstractContextManager[object]],
    name: str,
    run: Callable[..., object],
    *tensors: object,
    **options: object,
) -> object:
    with span(name):
        return run(*tensors, **options)


@cache
def _imported(source: str) -> Callable[..., object]:
    module, _, function = source.partition(":")
    return cast(Callable[..., object], getattr(import_module(module), function))
