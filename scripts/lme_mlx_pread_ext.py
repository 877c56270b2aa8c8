"""`python -c "import lme_mlx_pread_ext"`, the documented question whether the native part works.

In Mach vector kernels and direct reads are part of the program: importing this module runs `mach
selftest`, and fails with what that says unless it says native_extension=ready. This folder must be
on the module path: `cd scripts`, or PYTHONPATH=scripts.
"""
import subprocess

import mach_program

try:
    _done = subprocess.run([mach_program.find("lme_mlx_pread_ext"), "selftest"],
                           capture_output=True, text=True, check=False)
except SystemExit as _error:
    raise ImportError("there is no program to try; the line above says what to do") from _error
except OSError as _error:
    raise ImportError(f"mach cannot be run: {_error}") from _error
if _done.returncode != 0:
    raise ImportError(f"mach selftest ends with status {_done.returncode}:\n"
                      f"{_done.stdout}{_done.stderr}")
REPORT = _done.stdout
