"""A real program that stores keys: one JSON file for each agent, written as the contract of `command` says.

Usage: store_program.py FOLDER. Reads the key from stdin (deliver) or prints it (read). Beside the key it
records what else it was given: its arguments and its environment.
"""

import json
import os
import sys
from pathlib import Path


def main() -> int:
    folder = Path(sys.argv[1])
    place = folder / f"{os.environ['ALTER_SYNC_AGENT']}.json"
    stored = json.loads(place.read_text()) if place.exists() else None
    if os.environ["ALTER_SYNC_ACTION"] == "read":
        if stored:
            sys.stdout.write(stored["key"] + "\n")
        return 0
    if not folder.parent.is_dir():
        sys.stderr.write("no such store\n")
        return 9
    whose = [os.environ["ALTER_SYNC_OWNER"], os.environ["ALTER_SYNC_APP"], os.environ["ALTER_SYNC_AGENT"]]
    key = sys.stdin.read()
    if stored and stored["whose"] != whose:
        sys.stderr.write(f"{key} is for {whose}, but two configurations write one place\n")  # shown nowhere
        return 8
    folder.mkdir(exist_ok=True)
    place.write_text(json.dumps({"key": key, "whose": whose}))
    arguments = Path(f"/proc/{os.getpid()}/cmdline").read_text()
    environment = Path(f"/proc/{os.getpid()}/environ").read_text()
    (folder.parent / f"seen-{whose[2]}.json").write_text(json.dumps([arguments, environment]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
