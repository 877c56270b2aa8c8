"""What a checkpoint computes: logits of a few tokens that are finite; those of its undamaged twin
where nothing that decides them was changed, and others where a number that decides them was."""
import array
import json
import pathlib
import struct

import limited

IDS = [5, 9, 44, 100, 7, 3, 8, 200, 17, 31, 60, 61]
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
OPTIONS = ["--no-streaming", "--threads", "1", "--log-level", "error"]


class Differs(Exception):
    pass


class Outputs:
    """Of undamaged checkpoints and of copies; owns a directory for what is written."""

    def __init__(self, mach, work, seconds):
        self.mach, self.work, self.seconds = mach, pathlib.Path(work), seconds
        self.known = {}  # of bases: effects and logits

    def logits(self, checkpoint):
        """Their bytes; None where `mach eval` fails."""
        ids, out = self.work / "ids.json", self.work / "logits.safetensors"
        ids.write_text(json.dumps(IDS))
        ended = limited.run([self.mach, "eval", checkpoint, "--ids", ids, "--logits", out,
                             *OPTIONS],
                            self.seconds)
        if ended.status or ended.late:
            return None
        data = out.read_bytes()
        found = data[8 + struct.unpack("<Q", data[:8])[0]:]
        values = array.array("f")
        values.frombytes(found)
        if not all(abs(value) < 1e30 for value in values):  # false for NaN
            raise Differs("the logits are not finite")
        return found

    def check(self, copy, config, read_config):
        """Of a copy that the strict reader found good, or at least its config, and that loads."""
        found = self.logits(copy.path)
        if found is None:
            raise Differs("generate succeeds, and eval fails")
        if any(_changed(copy, name) for name in WEIGHTS):
            return
        if copy.base not in self.known:
            self.known[copy.base] = (read_config(copy.base).effects(), self.logits(copy.base))
        effects, logits = self.known[copy.base]
        own = config.effects()
        if None in own.values():  # what is absent, readers may differ on
            return
        changed = {name for name in own if own[name] != effects[name]}
        if changed and found == logits:
            raise Differs(f"{changed} has no effect")
        if not changed and found != logits:
            raise Differs("other logits, although nothing that decides them was changed")


def _changed(copy, name):
    """A file that is no link to the undamaged one's."""
    own, base = copy.path / name, copy.base / name
    if not own.exists() or not base.exists():
        return own.exists() != base.exists()
    return own.stat().st_ino != base.stat().st_ino
