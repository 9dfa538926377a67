"""The processes of a unit that trains on several devices of one machine: the unit's own, and helpers beside it."""

import multiprocessing
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

import torch
from torch import distributed
from torch._C._distributed_c10d import TCPStore

from auharness.errors import AuharnessError
from auharness.executors.environment import ONE_THREAD, added
from auharness.executors.local import start_worker
from auharness.training.ranks import PATIENCE, Rank

__all__ = ["together"]

Spec = TypeVar("Spec")
Help = Callable[[Spec, Rank], None]

HOST = "127.0.0.1"
READY = "ready"
LAST_WORDS_S = 2.0
"""How long a failure waits for a helper that may know its cause."""


@contextmanager
def together(helper: Help[Spec], spec: Spec, *, count: int) -> Iterator[Rank]:
    """Start `count - 1` helpers, connect them with this process, and end them behind the body.

    Args:
        helper: a module-level function that takes part in all that the body does together with others.
        spec: picklable; given to the helpers.
        count: processes in all; with 1 nothing happens.

    Raises:
        AuharnessError: if a helper failed, with its reason.
    """
    if count == 1:
        yield Rank()
        return
    with added({**ONE_THREAD, **_loopback()}):
        store = TCPStore(HOST, 0, count, is_master=True, timeout=PATIENCE, wait_for_workers=False)
        helpers = [_Helper(helper, spec, Rank(number, count), port=store.port) for number in range(1, count)]
        try:
            for one in helpers:
                one.wait_until_ready()
            _connect(store, Rank(0, count))
            yield Rank(0, count)
        except AuharnessError:
            raise
        except Exception as error:
            # the others notice a lost process by its silence; the process itself may have said why it left
            reason = next((reason for one in helpers if (reason := one.last_words())), None)
            if reason is None:
                raise
            raise AuharnessError(reason) from error
        finally:
            for one in helpers:
                one.end()
            if distributed.is_initialized():
                distributed.destroy_process_group()


class _Helper:
    """One helper and what it says."""

    def __init__(self, helper: Help[Spec], spec: Spec, rank: Rank, *, port: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.number = rank.number
        self.pipe, other = context.Pipe(duplex=False)
        self.process: BaseProcess = context.Process(target=_help, args=(helper, spec, rank, port, other))
        self.process.start()
        other.close()

    def wait_until_ready(self) -> None:
        wait([self.pipe, self.process.sentinel])
        reason = self._said()
        if reason != READY:
            raise AuharnessError(reason or self._death())

    def last_words(self) -> str | None:
        self.process.join(LAST_WORDS_S)
        return self._said() or (self._death() if self.process.exitcode else None)

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()

    def _said(self) -> str | None:
        try:
            return str(self.pipe.recv()) if self.pipe.poll() else None
        except EOFError:
            return None

    def _death(self) -> str:
        return (
            f"process {self.number} of those that train this unit died: killed, out of memory, or a script that calls "
            "the harness without `if __name__ == '__main__':`"
        )


def _help(helper: Help[Any], spec: Any, rank: Rank, port: int, pipe: Connection) -> None:
    """Be a helper: connect, take part, and say why if that fails."""
    start_worker()
    try:
        store = TCPStore(HOST, port, rank.count, is_master=False, timeout=PATIENCE)
        pipe.send(READY)
        _connect(store, rank)
        helper(spec, rank)
    except Exception as error:
        said = " ".join(str(error).split())
        known = isinstance(error, AuharnessError)
        pipe.send(said if known else f"{type(error).__name__}: {said} (in process {rank.number} of the unit)")
        os._exit(1)


def _connect(store: Any, rank: Rank) -> None:
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, store=store, rank=rank.number, world_size=rank.count, timeout=PATIENCE)


def _loopback() -> dict[str, str]:
    """Keep the processes of one machine on its loopback interface unless the user names another."""
    names = [name for _, name in socket.if_nameindex() if name in ("lo", "lo0")]
    return {"GLOO_SOCKET_IFNAME": names[0]} if names and "GLOO_SOCKET_IFNAME" not in os.environ else {}
