"""A clock that kills a process which takes too long."""

import subprocess
import threading

__all__ = ["Limit"]


class Limit:
    """Kills a process after some seconds, unless it is set anew or cancelled before."""

    def __init__(self, process: "subprocess.Popen[str]", seconds: float) -> None:
        self._process = process
        self._timer = self._started(seconds)
        self.over = False

    def set(self, seconds: float) -> None:
        """Start counting anew."""
        self._timer.cancel()
        self._timer = self._started(seconds)

    def cancel(self) -> None:
        """Count no more."""
        self._timer.cancel()

    def _started(self, seconds: float) -> threading.Timer:
        timer = threading.Timer(seconds, self._kill)
        timer.daemon = True
        timer.start()
        return timer

    def _kill(self) -> None:
        self.over = True
        self._process.kill()
