"""The hostile guest: `guest.py ATTACK SEED HOST PORTS`. Prints `ready`, waits for a line, attacks, prints a report.

An innocent program of the same guest runs beside the attack; its report is a part of ours.
"""

import importlib
import json
import os
import random
import subprocess
import sys
import time

name, seed, host, ports = sys.argv[1], int(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4])
sys.path.insert(0, here := os.path.dirname(os.path.abspath(__file__)))
module, function = name.split(".")
attack = getattr(importlib.import_module(module), function)


class Arena:
    """What an attack is given."""

    def __init__(self):
        self.host, self.ports, self.rng = host, ports, random.Random(seed)
        self.until = time.monotonic() + 5

    def over(self):
        return time.monotonic() > self.until


print("ready", flush=True)
sys.stdin.readline()
bystander = subprocess.Popen([sys.executable, "-B", os.path.join(here, "bystander.py"), host, sys.argv[4]],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
# It has a connection when the attack begins.
bystander.stdout.readline()
began = time.monotonic()
said = attack(Arena()) or {}
took = time.monotonic() - began
# One more round of the innocent after the attack, at least.
time.sleep(0.2)
out, _ = bystander.communicate("", 60)
print(json.dumps({"attack": said, "took": round(took, 2), "bystander": json.loads(out)}), flush=True)
sys.stdin.readline()
