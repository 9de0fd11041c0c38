# SPDX-License-Identifier: Apache-2.0
"""DynamoDB Local, dynalite, or a stand-in of our own, whichever is there first
(CV_DYNAMODB=local|dynalite|own chooses)."""

import os
import pathlib
import shutil
import socket
import sys

from .process import Program, wait_port


def _command(port):
    cache = pathlib.Path(os.environ["CV_SOURCE_DIR"]) / ".cache"
    local = cache / "dynamodb-local" / "lib"
    dynalite = cache / "dynalite" / "node_modules" / "dynalite" / "cli.js"
    chosen = os.environ.get("CV_DYNAMODB", "")
    if local.is_dir() and shutil.which("java") and chosen in ("", "local"):
        return ["java", f"-Djava.library.path={local}", "-cp", ":".join(str(p) for p in local.glob("*.jar")),
                "software.amazon.dynamodb.services.local.main.ServerRunner", "-disableTelemetry", "-inMemory",
                "-sharedDb", "-port", str(port)]
    if dynalite.exists() and shutil.which("node") and chosen in ("", "dynalite"):
        return ["node", str(dynalite), "--host", "127.0.0.1", "--port", str(port), "--createTableMs", "50"]
    return [sys.executable, str(pathlib.Path(__file__).with_name("dynamodb_standin.py")), str(port)]


def start(log):
    """(program, URL)."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    command = _command(port)
    # DynamoDB Local reports its use to its maker and writes a file where it
    # runs, unless it is told not to and runs elsewhere.
    env = dict(os.environ, DDB_LOCAL_TELEMETRY="0")
    program = Program(command, log, env=env, cwd=pathlib.Path(log).resolve().parent)
    wait_port("127.0.0.1", port, 60, program)
    return program, f"http://127.0.0.1:{port}"
