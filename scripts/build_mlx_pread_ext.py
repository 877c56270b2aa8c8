#!/usr/bin/env python3
"""Builds the native part and tries it here. In Mach vector kernels and direct reads are part of the
program: this builds `mach` and runs `mach selftest`.

Usage: build_mlx_pread_ext.py [options of mach selftest, such as --file FILE]

Without the source tree (an installation), and with MACH set, nothing is built: that program is
tried. Exit status: 0 native_extension=ready, 1 it is missing or the build failed, 2 wrong usage.
"""
import os
import shutil
import subprocess
import sys

import mach_program

NAME = "build_mlx_pread_ext.py"
BUILD = os.path.join("build", "release")


def build(source):
    """The program, built."""
    if shutil.which("cmake") is None:
        mach_program.fail(NAME, "there is no 'cmake'; install what the build needs with 'make deps' "
                                f"in {source}")
    jobs = str(os.cpu_count() or 1)
    # A new folder without tests, which need more packages; 'make test' adds them.
    configure = ["cmake", "--preset", "release", "-DMACH_TESTS=OFF", "-DMACH_BENCH=OFF"]
    if os.path.isfile(os.path.join(source, BUILD, "CMakeCache.txt")):
        configure = ["cmake", BUILD]
    for command in (configure, ["cmake", "--build", BUILD, "--target", "mach", "-j", jobs]):
        # Standard output is left to the self-test.
        done = subprocess.run(command, cwd=source, stdout=sys.stderr, check=False)
        if done.returncode != 0:
            mach_program.fail(NAME, f"'{' '.join(command)}' in {source} ends with status "
                                    f"{done.returncode}; install what the build needs with "
                                    "'make deps', then run this again")
    return os.path.join(source, BUILD, "bin", "mach")


def main():
    if any(argument in ("-h", "--help") for argument in sys.argv[1:]):
        print(__doc__)
        return
    source = mach_program.SOURCE
    if not os.environ.get("MACH") and os.path.isfile(os.path.join(source, "CMakePresets.json")):
        os.environ["MACH"] = build(source)
    mach_program.become(NAME, ["selftest", *sys.argv[1:]])


main()
