# SPDX-License-Identifier: Apache-2.0
"""DynamoDB Local or dynalite, whichever is installed."""

import os
import pathlib
import shutil
import socket

from .process import Program, wait_port


def _command(port):
    cache = pathlib.Path(os.environ["CV_SOURCE_DIR"]) / ".cache"
    local = cache / "dynamodb-local" / "lib"
    dynalite = cache / "dynalite" / "node_modules" / "dynalite" / "cli.js"
    if local.is_dir() and shutil.which("java") and os.environ.get("CV_DYNAMODB") != "dynalite":
        return ["java", f"-Djava.library.path={local}", "-cp", ":".join(str(p) for p in local.glob("*.jar")),
                "software.amazon.dynamodb.services.local.main.ServerRunner", "-inMemory", "-sharedDb", "-port", str(port)]
    if dynalite.exists() and shutil.which("node"):
        return ["node", str(dynalite), "--host", "127.0.0.1", "--port", str(port), "--createTableMs", "50"]
    return None


def start(log):
    """(program, URL), or None when neither is there."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    command = _command(port)
    if command is None:
        return None
    program = Program(command, log)
    wait_port("127.0.0.1", port, 60, program)
    return program, f"http://127.0.0.1:{port}"
