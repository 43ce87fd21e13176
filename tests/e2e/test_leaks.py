"""No plaintext anywhere but in the sinks: not in what is printed or written, nor in any process."""

import re
import sys
from pathlib import Path
from typing import Any

from reconciler.errors import ExitCode
from reconciler.sandbox import SandboxServer
from tests.support.commands import declare, process, run

# Stores the key like a vault would, and looks around while it has it. For one agent it tells everybody.
VAULT = """
import os, pathlib, sys
agent, key = os.environ["ALTER_SYNC_AGENT"], sys.stdin.read()
with open(f"vault/{agent}", "a") as vault:
    print(key, file=vault)
seen = b""
for process in pathlib.Path("/proc").glob("[0-9]*"):
    for name in ("cmdline", "environ"):
        try:
            seen += (process / name).read_bytes()
        except OSError:
            pass
pathlib.Path(f"seen-{agent}").write_bytes(seen)
if agent == "chatty":
    print(key)
    sys.exit(f"cannot store {key}")
"""


def test_an_apply_that_mints_keys_leaves_them_in_the_sinks_alone(alter: SandboxServer) -> None:
    Path("vault").mkdir()
    Path("tmp").mkdir()
    Path("vault.py").write_text(VAULT)
    Path("app.key").write_text(alter.app_key())
    sinks = {
        "vault": {"type": "command", "write": [sys.executable, "vault.py"], "timeout": "20s"},
        "env": {"type": "file", "path": "secrets/{agent}.env", "format": "dotenv"},
        "json": {"type": "file", "path": "secrets/{agent}.json", "format": "json"},
        "raw": {"type": "file", "path": "secrets/{agent}"},
    }
    block: dict[str, Any] = {"scopes": {"google": ["gmail.readonly"]}}
    agents = {
        "alpha": {**block, "deliver_to": ["vault", "env"]},
        "beta": {**block, "deliver_to": ["json", "raw"]},
        "chatty": {**block, "deliver_to": ["vault"]},
    }
    declare(agents, sinks=sinks)
    variables = {"ALTER_API_KEY": "", "TMPDIR": str(Path("tmp").resolve())}
    flags = ["--api-key-file", "app.key", "-vv", "--trace", "trace.jsonl"]
    printed = [
        process("plan", *flags, "--save", "plan.json", **variables),
        process("apply", *flags, "plan.json", "--yes", **variables),
        process("apply", *flags, "--yes", "--output", "json", **variables),
        process("status", *flags, "--output", "json", **variables),
        run("plan", *flags),
        run("status", *flags),
    ]
    assert [result.code for result in printed] == [0, ExitCode.SINK, ExitCode.SINK, 0, 0, 0]
    Path("outcome.txt").write_text("".join(result.stdout + result.stderr for result in printed))

    plaintexts = _plaintexts(alter)
    assert len(plaintexts) >= 5  # the app's, one for each quiet agent, and each that the chatty one spoilt
    found = [
        str(path)
        for path in Path().rglob("*")
        if path.is_file() and path.parts[0] not in {"vault", "secrets", "app.key"}
        if any(plaintext.encode() in path.read_bytes() for plaintext in plaintexts)
    ]
    assert found == []
    assert Path("trace.jsonl").read_text().count('"deliver"') >= 5
    assert {path.name for path in Path().glob("seen-*")} == {"seen-alpha", "seen-chatty"}
    assert list(Path("tmp").iterdir()) == []


def _plaintexts(server: SandboxServer) -> set[str]:
    """The app's key, and every key that is or was in a sink."""
    held = "".join(path.read_text() for folder in ("vault", "secrets") for path in Path(folder).iterdir())
    return {*re.findall(r"alter_ak_[a-z2-7]{22}_[a-z2-7]{6}", held), server.app_key()}
