"""Runs a program within a time, and says how it ended and what memory it took."""
import dataclasses
import os
import signal
import subprocess
import tempfile
import time


@dataclasses.dataclass
class Ended:
    status: int      # exit status; negative: the signal
    late: bool       # it was killed at the limit of time
    out: str
    err: str
    resident: int    # bytes at most
    seconds: float


class Child:
    """A program that runs; its output goes to files, so that it never waits for us."""

    def __init__(self, arguments):
        self.out, self.err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self.begun = time.monotonic()
        self.process = subprocess.Popen([str(argument) for argument in arguments],
                                        stdin=subprocess.DEVNULL,
                                        stdout=self.out, stderr=self.err)
        self.found = None  # of wait4

    def _poll(self):
        if self.found is None:
            pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
            if pid:
                self.found = (os.waitstatus_to_exitcode(status), usage)
                self.process.returncode = self.found[0]
        return self.found is not None

    def wait(self, seconds, until=None):
        """Until it ends, or `until` holds; false when the time is over."""
        end = time.monotonic() + seconds
        pause = 0.001
        while not self._poll():
            if until is not None and until():
                return True
            if time.monotonic() > end:
                return False
            time.sleep(pause)
            pause = min(pause * 1.2, 0.02)
        return True

    def running(self):
        return not self._poll()

    def said(self):
        self.out.seek(0)
        return self.out.read().decode("utf-8", "replace")

    def end(self, sent=signal.SIGTERM, seconds=20):
        """Asks it to end; what there is to say of it."""
        late = False
        if self.running():
            if sent is not None:
                self.process.send_signal(sent)
            late = not self.wait(seconds)
            if late:
                self.process.kill()
                self.wait(20)
        status, usage = self.found
        self.err.seek(0)
        return Ended(status, late, self.said(), self.err.read().decode("utf-8", "replace"),
                     usage.ru_maxrss << 10,
                     time.monotonic() - self.begun)


def run(arguments, seconds):
    return Child(arguments).end(sent=None, seconds=seconds)
