"""All that one program is made to do, in a folder of its own; the next program finds the same
folder as the first one did."""
import concurrent.futures
import pathlib
import re
import shutil
import subprocess
import sys
import time

import bases
import checkpoints
import command_lines
import folders
import running
import sessions
import settings
import varying

CHECKPOINTS, SEED = 80, 1
DENSE = ["--family", "qwen3_moe", "--bits", "16", "--layers", "2", "--hidden", "128", "--experts",
         "16", "--width", "64", "--heads", "4", "--kv-heads", "2", "--head-dim", "32", "--context",
         "1024"]


class Place:
    def __init__(self, root, source, model, old):
        """root: an empty folder. old: the program that makes the inputs."""
        self.root, self.work = root, root / "work"
        self.inputs, self.logs = root / "inputs", root / "logs"
        self.logs.mkdir()
        (self.inputs / "bin").mkdir(parents=True)
        self._link(model, self.inputs / settings.TINY)
        drafter = model.with_name(model.name + "-dflash")
        if drafter.is_dir():
            self._link(drafter, self.inputs / f"{settings.TINY}-dflash")
        subprocess.run([old, "synth", self.inputs / settings.DENSE, *DENSE, "--tokenizer", model],
                       check=True, stdout=subprocess.DEVNULL)
        command_lines.prepare(self.inputs)
        (self.inputs / "bases").mkdir()
        bases.make(old, source, self.inputs / "bases")
        self.helps, self.document = {}, None  # of the old program: what both are asked with
        self.began = time.monotonic()

    @staticmethod
    def _link(model, folder):
        folder.mkdir(parents=True)
        for path in model.iterdir():
            if path.is_file():
                (folder / path.name).symlink_to(path)

    def run(self, mach, only):
        """{kind: [(what, {field: text})]}; kinds are commands, checkpoints, requests, settings."""
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.inputs, self.work, symlinks=True)
        program = self.work / "bin/mach"
        shutil.copy2(mach, program)
        for name in ("serve", "generate", "nonsense"):
            (self.work / f"bin/mach-{name}").symlink_to("mach")
        found = {"commands": [], "checkpoints": [], "requests": [], "settings": []}
        self._commands(only, found)
        if re.search(only, "damaged checkpoints"):
            self._stage("damaged checkpoints")
            self._checkpoints(found)
        self._run(["export-sidecar", settings.TINY])  # where the stage was left out
        self.document = self.document or sessions.openapi(program, self.work, self.logs)
        for setting in settings.settings(self.document):
            if not re.search(only, setting.name):
                continue
            self._stage(f"serve, {setting.name}")
            results = sessions.run(program, setting, self.work, self.logs)
            found["requests"] += results
            found["settings"].append((setting.name, {}))
            if len(results) == 1:
                print(f"does not serve under [{setting.name}]: {results[0][1]}", file=sys.stderr)
        return found

    def _commands(self, only, found):
        helps = self.helps
        for command in [] if helps else _commands_of(self._run(["help"])[1]):
            helps[command] = self._run([command, "--help"])[1]
        for stage, lines in (("information", command_lines.informing(helps)),
                             ("writing", command_lines.writing()),
                             ("check", command_lines.checking()),
                             ("no models", command_lines.strangers()),
                             ("generate and eval", command_lines.generating()),
                             ("mistakes", command_lines.mistaken()),
                             ("each option", command_lines.each_option(helps))):
            if re.search(only, stage):
                self._stage(stage)
                one_by_one = any(line.writes for line in lines)
                with concurrent.futures.ThreadPoolExecutor(1 if one_by_one else 2) as pool:
                    told = pool.map(self._line, lines)
                    found["commands"] += [(f"{stage}: {line.what()}", fields)
                                          for line, fields in zip(lines, told)]

    def _run(self, arguments, line=command_lines.Line([])):
        program = str(self.work / "bin" / line.program)
        return running.run([program, *map(str, arguments)], self.work, line.environment,
                           line.given.encode())

    def _line(self, line):
        if line.writes == "eval":
            shutil.rmtree(self.work / "eval", ignore_errors=True)
            (self.work / "eval").mkdir()
        found = varying.Settled().ended(self._run(line.arguments, line))
        if line.writes:
            found |= {f"file {name}": text
                      for name, text in folders.described(self.work / line.writes).items()}
        return found

    def _checkpoints(self, found):
        made = {path.name: path for path in sorted((self.work / "bases").iterdir())}
        for number in range(CHECKPOINTS):
            case = self.work / "case"
            _, said, _ = checkpoints.make(made, SEED, number, case)
            fields = {}
            for arguments in (["check", "case", "--json", "--target-only", "--threads", "1",
                               "--wired-gb", "1"], ["verify", "case", "--all"],
                              ["generate", "case", *checkpoints.OPTIONS, "--prompt", "hello",
                               "--max-tokens", "4", "--temperature", "0", "--seed", "3", "--json"]):
                for field, text in varying.Settled().ended(self._run(arguments)).items():
                    fields[f"{arguments[0]} {field}"] = text
            found["checkpoints"].append((f"checkpoint {number} ({said[:100]})", fields))
            shutil.rmtree(case)

    def _stage(self, name):
        print(f"{time.monotonic() - self.began:5.0f} s  {name}", file=sys.stderr, flush=True)


def _commands_of(text):
    """The commands that the program's help lists."""
    listed = text.split("Commands:\n", 1)[1].split("\n\n", 1)[0]
    return [line.split()[0] for line in listed.splitlines()]
