"""Finds the program `mach` for the scripts beside this file, and becomes it.

Python 3, standard library only.
"""
import os
import shutil
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
# The source tree, unless the scripts are installed.
SOURCE = os.path.dirname(HERE)


def fail(name, message, status=1):
    """Ends the script `name`. Status 1: it failed; 2: it was used wrongly."""
    sys.stderr.write(f"{name}: {message}\n")
    sys.exit(status)


def find(name):
    """The path of `mach`: $MACH, the installation or the build that this script lies in, PATH."""
    given = os.environ.get("MACH", "")
    if given:
        path = shutil.which(given)
        if path is None:
            fail(name, f"MACH is '{given}', expected a program that can be run; unset it, or build "
                       "one with 'make build' and set MACH=build/release/bin/mach")
        return path
    places = [os.path.join(HERE, "mach"), os.path.join(SOURCE, "bin", "mach"),
              os.path.join(SOURCE, "build", "release", "bin", "mach")]
    if SOURCE.endswith(os.path.join("share", "mach")):  # an installation's share/mach/scripts
        places.append(os.path.join(SOURCE[:-len("share/mach")], "bin", "mach"))
    for path in places:
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    path = shutil.which("mach")
    if path is None:
        tree = SOURCE if os.path.isfile(os.path.join(SOURCE, "Makefile")) else "the source tree"
        fail(name, "there is no program 'mach' beside this script or on the PATH; build it with "
                   f"'make build' in {tree}, or set MACH to it")
    return path


def become(name, arguments):
    """Replaces this process by `mach ARGUMENTS`: its signals and its exit status are mach's."""
    program = find(name)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execv(program, [program, *arguments])
    except OSError as error:
        fail(name, f"cannot run '{program}': {error.strerror}")
