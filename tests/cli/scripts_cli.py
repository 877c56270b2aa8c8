#!/usr/bin/env python3
"""The documented scripts, as they are written down: options, exit codes, signals, and where they
find the program.

Usage: scripts_cli.py MACH SOURCE_DIR. Standard library only.
"""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

PYTHON = sys.executable


def environment(**more):
    """This one, without what a script would go by."""
    env = {k: v for k, v in os.environ.items() if k != "MACH" and not k.startswith("LME_")}
    return {**env, **more}


def run(arguments, code=0, env=None, cwd=None):
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, timeout=120,
                          env=env, cwd=cwd)
    if done.returncode != code:
        sys.exit(f"{arguments}: exit {done.returncode}, expected {code}\n{done.stdout}{done.stderr}")
    return done


def check_export(scripts, env, model, work):
    script = [PYTHON, scripts / "export_expert_sidecar.py"]
    documented = [*script, "--checkpoint", model, "--output", model / "expert_sidecar"]
    # The documented line, with what the demonstration model is.
    done = run([*documented, "--num-experts", "48", "--bits", "4"], env=env)
    assert f"wrote {model}/expert_sidecar" in done.stdout, done
    assert (model / "expert_sidecar" / "manifest.json").exists()
    # And as it stands there: both values of what differs, and nothing is written.
    away = work / "away"
    done = run([*script, "--checkpoint", model, "--output", away, "--num-experts", "256", "--bits",
                "4"], 1, env)
    assert "the checkpoint has 48 experts in a layer, --num-experts says 256" in done.stderr, done
    done = run([*script, f"--checkpoint={model}", "--output", away, "--bits", "8"], 1, env)
    assert "is 4-bit in the checkpoint, --bits says 8" in done.stderr, done
    assert not away.exists()
    run([*script, f"--checkpoint={model}", f"--output={away}", "--jobs", "1"], env=env)
    assert (away / "index.bin").exists()
    for wrong, message in (([], "--checkpoint is missing"),
                           (["--checkpoint"], "--checkpoint is empty"),
                           (["--checkpoint="], "--checkpoint is empty"),
                           (["--checkpoint", model, "--checkpoint", model], "given twice"),
                           (["--checkpoint", model, "--frob"], "unknown option '--frob'"),
                           (["--checkpoint", model, "--bits", "5"], "expected one of keep, 4")):
        done = run([*script, *wrong], 2, env)
        assert message in done.stderr, done
    assert "Usage: export_expert_sidecar.py" in run([*script, "--help"], env=env).stdout
    # A directory that looks like an option is one after all.
    run([*script, "--checkpoint", "--strange", "--output", away], 1, env, cwd=work)
    print("export_expert_sidecar.py: the documented line; both values where they differ")


def check_serve_and_probe(scripts, env, model):
    """The process that a script started is mach: a signal ends it as it ends mach."""
    serve = [PYTHON, scripts / "serve_production.py", model, "--no-streaming", "--port", "0"]
    log = tempfile.TemporaryFile(mode="w+")  # a pipe that nobody reads would fill, and hold it up
    server = subprocess.Popen([str(a) for a in serve], stdout=subprocess.PIPE, stderr=log,
                              text=True, env=env)
    try:
        lines = []
        for line in server.stdout:
            lines.append(line)
            if line.startswith("serving on "):
                break
        else:
            log.seek(0)
            sys.exit(f"{serve}: {log.read()}")
        assert "profile=production effective_backend=production" in lines[0], lines
        with open(f"/proc/{server.pid}/comm", encoding="utf-8") as comm:
            assert comm.read().strip() == "mach"
        url = lines[-1].split()[-1].removesuffix("/v1")
        probe = [PYTHON, scripts / "run_expert_residency_probe.py", "--url", url]
        done = run([*probe, "--requests", "1", "--max-tokens", "8"], env=env)
        assert " verdict " in done.stdout.splitlines()[-1], done.stdout
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=60)
    assert server.returncode == 0, server.returncode
    assert "is mach serve running there?" in run(probe, 1, env).stderr
    run([*probe, "--frob"], 2, env)

    # What production excludes.
    plain = [PYTHON, scripts / "serve_production.py", model]
    for more, variables in ((["--allow-diagnostic-fallback"], {}),
                            (["--allow-diagnostic-fallback=1"], {}),
                            ([], {"LME_ALLOW_DIAGNOSTIC_FALLBACK": "1"}),
                            ([], {"LME_ALLOW_DIAGNOSTIC_PYTHON_FALLBACK": "1"})):
        done = run([*plain, "--streaming", *more], 2, {**env, **variables})
        assert "which production excludes" in done.stderr, done
    # Status and message of mach itself.
    done = run(plain, 2, {**env, "LME_ALLOW_DIAGNOSTIC_FALLBACK": "0"})
    assert "mach serve: give one of --streaming and --no-streaming" in done.stderr, done
    print("serve_production.py, run_expert_residency_probe.py: mach itself, its signals and status")


def check_native(scripts, env, forbidden):
    """The self-test under its two documented names."""
    build = [PYTHON, scripts / "build_mlx_pread_ext.py"]
    done = run([*build, "--file", env["MACH"]], env=env)
    assert done.stdout.endswith("native_extension=ready\n"), done
    run([*build, "--file", "/nowhere"], 1, env)
    run([*build, "--frob"], 2, env)
    assert "Usage: build_mlx_pread_ext.py" in run([*build, "--help"], env=env).stdout
    ask = [PYTHON, "-c", "import lme_mlx_pread_ext as x; print(x.REPORT)"]
    assert "native_extension=ready" in run(ask, env=env, cwd=scripts).stdout
    assert "native_extension=ready" in run(ask, env={**env, "PYTHONPATH": str(scripts)}).stdout
    done = run(ask, 1, {**env, "MACH": str(forbidden)}, cwd=scripts)
    assert "ImportError: mach selftest ends with status 1" in done.stderr, done
    assert "native_extension=missing" in done.stderr, done
    print("build_mlx_pread_ext.py, import lme_mlx_pread_ext: the self-test")


def check_search(scripts, env, mach, work):
    """$MACH, then beside the script, then PATH; else the command to type."""
    program = f"#!/bin/sh\necho {{}}; exec {mach} \"$@\"\n"

    def program_in(directory, word):
        directory.mkdir(parents=True)
        (directory / "mach").write_text(program.format(word))
        (directory / "mach").chmod(0o755)

    prefix = work / "prefix"
    there = prefix / "share" / "mach" / "scripts"
    shutil.copytree(scripts, there, ignore=shutil.ignore_patterns("__pycache__"))
    program_in(work / "path", "from-path")
    bare = {**env, "PATH": "/nowhere"}
    bare.pop("MACH")
    probe = [PYTHON, there / "run_expert_residency_probe.py", "--help"]

    def found(**more):
        return run(probe, env={**bare, **more}).stdout.splitlines()[0]

    done = run(probe, 1, bare)
    assert "build it with 'make build' in the source tree, or set MACH to it" in done.stderr, done
    path = str(work / "path")
    assert found(PATH=path) == "from-path"
    program_in(prefix / "bin", "installed")
    assert found(PATH=path) == "installed"
    program_in(work / "given", "given")
    assert found(PATH=path, MACH=str(work / "given" / "mach")) == "given"
    for wrong in (work / "nothing", work, there / "mach_program.py"):
        done = run(probe, 1, {**bare, "MACH": str(wrong)})
        assert f"MACH is '{wrong}', expected a program" in done.stderr, done
    # A source tree: its build.
    tree = work / "tree"
    shutil.copytree(scripts, tree / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "Makefile").write_text("")
    probe[1] = tree / "scripts" / "run_expert_residency_probe.py"
    assert f"'make build' in {tree}" in run(probe, 1, bare).stderr
    program_in(tree / "build" / "release" / "bin", "built")
    assert found(PATH=path) == "built"
    # Through a link from elsewhere, too.
    link = work / "probe"
    link.symlink_to(probe[1])
    probe[1] = link
    assert found(PATH=path) == "built"
    # In a tree that says how it is built, what cannot be built is said.
    (tree / "CMakePresets.json").write_text("{}")
    build = [PYTHON, tree / "scripts" / "build_mlx_pread_ext.py"]
    assert "there is no 'cmake'; install what the build needs with 'make deps'" \
        in run(build, 1, bare).stderr
    fake = tree / "tools"
    fake.mkdir()
    (fake / "cmake").write_text("#!/bin/sh\nexit 3\n")
    (fake / "cmake").chmod(0o755)
    assert "ends with status 3" in run(build, 1, {**bare, "PATH": f"{fake}:/bin"}).stderr
    (fake / "cmake").write_text("#!/bin/sh\nexit 0\n")
    done = run(build, env={**bare, "PATH": f"{fake}:/bin"})
    assert done.stdout.startswith("built\n") and "native_extension=ready" in done.stdout, done
    print("scripts: where they look for mach")


def main():
    mach, source = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
    env = environment(MACH=str(mach), PYTHONDONTWRITEBYTECODE="1")
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        model = work / "model"
        shutil.copytree(source / "models/mach-tiny", model,
                        ignore=shutil.ignore_patterns("expert_sidecar*"))
        check_export(source / "scripts", env, model, work)
        check_serve_and_probe(source / "scripts", env, model)
        forbidden = work / "forbidden"
        forbidden.write_text(f"#!/bin/sh\nexec {mach} \"$@\" --file /nowhere\n")
        forbidden.chmod(0o755)
        check_native(source / "scripts", env, forbidden)
        check_search(source / "scripts", env, mach, work)


main()
