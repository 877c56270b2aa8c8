#!/usr/bin/env python3
"""Runs the commands of the documentation and of the help, and holds them to what is printed there.

A fenced block ```console holds commands after "$ " (continued by a backslash at the end of a line),
each followed by its output: every line as printed, "..." for any text within a line, a line "..."
for any lines. A command without output lines is held to its exit status alone, which is 0 or said
in its comment: "# exit status 2". `mach serve` runs until the next one or the end of the file, as in
a terminal of its own, and the port 8080 stands for a free one. ```console build names commands that
build or test, ```console long those that take minutes or gigabytes: only --all runs them.

The commands run in a folder of their own that looks like the repository, with the program's folder
first on PATH. With --all, which builds, they run in SOURCE_DIR itself.

Usage: commands.py BIN_DIR SOURCE_DIR [--all] [FILE.md ...]
Standard library only.
"""
import argparse
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

DOCUMENTS = ["README.md", "CONTRIBUTING.md", "models/README.md", "docs/*.md", "docs/*/*.md"]
TIMEOUT = 300  # seconds of a command that is not long
LONG_TIMEOUT = 7200
# A block in another language is data or a picture; one without a language would be overlooked.
OTHER_LANGUAGES = {"json", "jsonc", "toml", "yaml", "text", "ini", "cpp", "c"}


class Failure(Exception):
    pass


class Command:
    def __init__(self, place, text, kind):
        self.place, self.text, self.kind = place, text, kind
        self.output = []
        status = re.search(r"#\s*exit status (\d+)", text)
        self.status = int(status.group(1)) if status else 0
        words = [w for w in text.split("#")[0].split() if "=" not in w or w.startswith("-")]
        program = pathlib.PurePath(words[0]).name if words else ""
        self.serves = (self.status == 0 and "--help" not in words and
                       (program in ("mach-serve", "serve_production.py") or
                        words[:2] == ["make", "serve"] or
                        (program == "mach" and words[1:2] == ["serve"])))


def parse(path, name):
    """The commands of a document, in order."""
    commands, kind, fence = [], None, False
    continued = None  # a command whose last line ended with a backslash
    for number, line in enumerate(path.read_text().splitlines(), 1):
        place = f"{name}:{number}"
        if line.startswith("```"):
            fence = not fence
            language, *rest = line[3:].split() or [""]
            if fence and language != "console" and language not in OTHER_LANGUAGES:
                raise Failure(f"{place}: a block in '{language}'; commands are ```console")
            kind = " ".join(rest) if fence and language == "console" else None
            if kind not in (None, "", "build", "long"):
                raise Failure(f"{place}: '{kind}' after console; known are build and long")
        elif kind is None:
            continue
        elif continued is not None or line.startswith("$ "):
            text = line[2:] if continued is None else f"{continued} {line.strip()}"
            continued = text[:-1].rstrip() if text.endswith("\\") else None
            if continued is None:
                commands.append(Command(place, text, kind))
        elif line.strip() and commands:
            commands[-1].output.append(line)
    return commands


def matches(expected, found):
    """Whether the lines found are those expected, with ... as above."""
    def one(pattern, line):
        parts = [re.escape(part) for part in pattern.split("...")]
        return re.fullmatch(".*".join(parts), line.rstrip()) is not None

    # reached: how many expected lines may be used up by the lines so far.
    reached = {0}
    def skip(at):
        while at < len(expected) and expected[at].strip() == "...":
            at += 1
            reached_now.add(at)
    reached_now = set(reached)
    skip(0)
    reached = reached_now
    for line in found:
        reached_now = set()
        for at in reached:
            if at > 0 and expected[at - 1].strip() == "...":
                reached_now.add(at)
            if at < len(expected) and expected[at].strip() != "..." and one(expected[at], line):
                reached_now.add(at + 1)
                skip(at + 1)
        reached = reached_now
    return len(expected) in reached


class Runner:
    def __init__(self, bin_dir, work):
        self.work = work
        self.environment = {**os.environ, "PATH": f"{bin_dir}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}
        for name in list(self.environment):
            if name.startswith(("LME_", "MANIAC_")):
                del self.environment[name]
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = str(probe.getsockname()[1])
        self.server = None
        self.log = None

    def ported(self, text):
        if text.startswith("mach probe") and "--url" not in text:
            text += " --url http://127.0.0.1:8080/v1"  # its default
        return re.sub(r"\b8080\b", self.port, text)

    def serving(self, text):
        """A command that serves on 8080, on the free port instead."""
        command = text.split("  #")[0]
        if "--port" in command:
            return self.ported(command)
        if command.startswith("make"):
            return f"{command} PORT={self.port}"
        return f"{command} --port {self.port}"

    def stop_server(self):
        if self.server is None:
            return
        if self.server.poll() is None:
            os.killpg(self.server.pid, signal.SIGTERM)
            try:
                self.server.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(self.server.pid, signal.SIGKILL)
                self.server.wait()
        self.server = None

    def check_output(self, command, found):
        expected = [self.ported(line) for line in command.output]
        if expected and not matches(expected, found):
            raise Failure("printed\n    " + "\n    ".join(found) + "\n  where the document has\n    " +
                          "\n    ".join(expected))

    def start_server(self, command, timeout):
        self.stop_server()
        self.log = tempfile.TemporaryFile(mode="w+")
        self.server = subprocess.Popen(["bash", "-c", self.serving(command.text)], cwd=self.work,
                                       env=self.environment, stdout=self.log,
                                       stderr=subprocess.DEVNULL, start_new_session=True)
        end = time.time() + timeout
        while True:
            self.log.seek(0)
            lines = self.log.read().splitlines()
            ready = any(line.startswith("serving on ") for line in lines)
            if ready and (not command.output or
                          matches([self.ported(line) for line in command.output], lines)):
                return
            if self.server.poll() is not None:
                raise Failure(f"ended with status {self.server.returncode}:\n" + "\n".join(lines))
            if time.time() > end or (ready and time.time() > end - timeout + 30):
                self.check_output(command, lines)
                raise Failure("did not get ready")
            time.sleep(0.05)

    def run(self, command):
        timeout = TIMEOUT if command.kind == "" else LONG_TIMEOUT
        if command.serves:
            self.start_server(command, timeout)
            return
        done = subprocess.run(["bash", "-c", self.ported(command.text)], cwd=self.work,
                              env=self.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
                              text=True, errors="replace")
        if done.returncode != command.status:
            raise Failure(f"exit status {done.returncode}, expected {command.status}\n"
                          f"{done.stdout}{done.stderr}")
        # A refusal is on standard error, an answer on standard output.
        self.check_output(command, (done.stdout + (done.stderr if done.returncode else ""))
                          .splitlines())


def help_examples(bin_dir, runner):
    """Commands of `mach help --examples`: command, exit status and how it runs, between tabs."""
    listed = subprocess.run([f"{bin_dir}/mach", "help", "--examples"], capture_output=True, text=True,
                            check=True, env=runner.environment).stdout
    commands = []
    for number, line in enumerate(listed.splitlines(), 1):
        text, status, how = line.split("\t")
        place = f"mach help --examples:{number}"
        if how == "beside-server":
            commands.append(Command(place, "mach serve models/mach-tiny --no-streaming", ""))
        command = Command(place, text, "")
        command.status, command.serves = int(status), how == "serves"
        commands.append(command)
    return commands


def like_the_repository(source, work):
    """Links to everything, and copies of what commands write to."""
    for entry in source.iterdir():
        if entry.name in ("models", ".git", "out"):
            continue
        (work / entry.name).symlink_to(entry)
    shutil.copytree(source / "models", work / "models",
                    ignore=shutil.ignore_patterns("expert_sidecar*"))


def check_matches():
    assert matches(["a ... c", "..."], ["a b c", "x", "y"]) and matches(["..."], [])
    assert matches(["...", "b"], ["x", "b"]) and not matches(["...", "b"], ["b", "x"])
    assert not matches(["a"], ["a", "b"]) and not matches(["a", "b"], ["a"])
    assert matches(["a", "...", "b", "...", "c"], ["a", "b", "b", "x", "c"])
    assert not matches(["1.5"], ["1x5"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bin_dir", type=lambda p: pathlib.Path(p).resolve())
    parser.add_argument("source", type=lambda p: pathlib.Path(p).resolve())
    parser.add_argument("files", nargs="*")
    parser.add_argument("--all", action="store_true")
    arguments = parser.parse_args()
    check_matches()
    source = arguments.source
    names = arguments.files or [str(path.relative_to(source)) for pattern in DOCUMENTS
                                for path in sorted(source.glob(pattern))] + [None]
    failed = ran = left = 0
    for name in names:
        with tempfile.TemporaryDirectory() as made:
            work = source if arguments.all else pathlib.Path(made)
            if not arguments.all:
                like_the_repository(source, work)
            runner = Runner(arguments.bin_dir, work)
            try:
                commands = (help_examples(arguments.bin_dir, runner) if name is None
                            else parse(source / name, name))
                for command in commands:
                    if command.kind != "" and not arguments.all:
                        left += 1
                        continue
                    begin = time.time()
                    try:
                        runner.run(command)
                        ran += 1
                        print(f"ok {time.time() - begin:6.1f} s  {command.place}: {command.text}",
                              flush=True)
                    except (Failure, subprocess.TimeoutExpired) as failure:
                        failed += 1
                        print(f"FAILED {command.place}: {command.text}\n  {failure}", flush=True)
            except Failure as failure:
                failed += 1
                print(f"FAILED {failure}", flush=True)
            finally:
                runner.stop_server()
    print(f"{ran} commands as documented, {failed} not, {left} left out")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
