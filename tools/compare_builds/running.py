"""Programs that are run: command lines to their end, and servers."""
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

SECONDS = 120


def environment(more):
    """Ours, without what the program itself would read."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("LME_", "MACH_", "MANIAC_"))}
    return {**kept, "LC_ALL": "C.UTF-8", **more}


def run(arguments, folder, more, given):
    """(exit status, output, errors); the latter as text, bytes that are none of it escaped."""
    try:
        done = subprocess.run(arguments, cwd=folder, env=environment(more), input=given,
                              capture_output=True, timeout=SECONDS)
    except subprocess.TimeoutExpired as late:
        return f"none in {SECONDS} s", _text(late.stdout or b""), _text(late.stderr or b"")
    return done.returncode, _text(done.stdout), _text(done.stderr)


class Server:
    """`mach serve`. port: None until it is ready, or where it ended before that."""

    def __init__(self, arguments, folder, more, logs):
        """logs: a folder for what it says, outside its own."""
        self.out, self.err = logs / "out", logs / "err"
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(arguments, cwd=folder, env=environment(more),
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        self.port = None
        self.told_to_end = False

    def wait_until_ready(self):
        # The last one of its lines, which are written together.
        pattern = re.compile(r"(?m)^serving on http://.*:(\d+)/v1$[\s\S]*\n  curl .*/models.*\n")
        for _ in self._tries():
            found = pattern.search(self.said()[0])
            if found:
                self.port = int(found[1])
                return

    def wait_until_it_listens(self, port):
        for _ in self._tries():
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                self.port = port
                return
            except OSError:
                pass

    def _tries(self):
        end = time.monotonic() + SECONDS
        while self.process.poll() is None:
            yield
            if time.monotonic() > end:
                self.process.kill()
                raise TimeoutError(f"{self.process.args}: not ready")
            time.sleep(0.001)

    def wait_for_rest(self):
        """Until nothing in it runs or waits for a disk: an answer is there before what the engine
        keeps of it."""
        still, end = 0, time.monotonic() + SECONDS
        while still < 5 and time.monotonic() < end:
            time.sleep(0.01)
            states = [self._state_of(task) for task in
                      pathlib.Path(f"/proc/{self.process.pid}/task").iterdir()]
            still = still + 1 if set(states) <= {"S", None} else 0

    @staticmethod
    def _state_of(task):
        try:
            return (task / "stat").read_text().rpartition(") ")[2][:1]
        except OSError:  # it has ended
            return None

    def said(self):
        return _text(self.out.read_bytes()), _text(self.err.read_bytes())

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)
        self.told_to_end = True

    def end(self):
        """(exit status, output, errors)."""
        if self.process.poll() is None:
            if not self.told_to_end:
                self.wait_for_rest()
                self.terminate()
            try:
                self.process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode, *self.said()


def _text(data):
    return data.decode("utf-8", "backslashreplace")
