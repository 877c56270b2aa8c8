#!/usr/bin/env python3
"""systemd accepts the unit of packaging/: every key is known, and the program is found.

Usage: unit_cli.py MACH SOURCE_DIR. Standard library only. Exits with 77 without systemd-analyze.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile


def verify(directory, text):
    """What systemd says of the unit; empty when all is well."""
    unit = directory / "mach-serve.service"
    unit.write_text(text)
    done = subprocess.run(["systemd-analyze", "--user", "verify", "--man=no", str(unit)],
                          capture_output=True, text=True, timeout=60,
                          env={**os.environ, "XDG_RUNTIME_DIR": str(directory)})
    return done.stderr + (f"exit {done.returncode}" if done.returncode != 0 else "")


def main():
    mach, source = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
    if shutil.which("systemd-analyze") is None:
        print("there is no systemd-analyze")
        sys.exit(77)
    text = (source / "packaging/mach-serve.service").read_text()
    assert "ExecStart=mach-serve " in text
    # As installed, where this build is not.
    text = text.replace("ExecStart=mach-serve ", f"ExecStart={mach.parent}/mach-serve ")
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        empty = verify(directory, "[Service]\nExecStart=/bin/true\n")
        if empty:
            print(f"systemd-analyze does not work here: {empty}")
            sys.exit(77)
        said = verify(directory, text)
        assert not said, said
        assert "Unknown key" in verify(directory, text.replace("KillMode=", "KilMode="))
    print("the unit: accepted by systemd-analyze verify")


main()
