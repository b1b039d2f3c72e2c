"""A small run of a new domain, made once for a build of agoge, and its exports. Only the standard library is used, so that every
stack's environment can import it."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from served import AGOGE, ROOT

# A run's folder to export from instead.
GIVEN = os.environ.get("AGOGE_RUN")
DESK = ROOT / "out/test-stacks/desk"


def agoge(*arguments, expect: int = 0) -> str:
    """Runs agoge and returns what it says."""
    done = subprocess.run([AGOGE, *map(str, arguments)], capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == expect, f"agoge {arguments}: {done.returncode}\n{said}"
    return said


def run_folder() -> Path:
    """The folder of a finished run: synthesis, suite, training and evaluation of the domain that `agoge domain new` writes."""
    if GIVEN:
        return Path(GIVEN)
    out = DESK / "run"
    stamp = DESK / "made-by"
    made_by = str(AGOGE.stat().st_mtime_ns)
    if not (stamp.is_file() and stamp.read_text() == made_by):
        shutil.rmtree(DESK, ignore_errors=True)
        DESK.mkdir(parents=True)
        agoge("domain", "new", DESK / "desk")
        agoge("up", "-f", DESK / "desk", "--out", out, "--no-progress")
        stamp.write_text(made_by)
    return out


def exported(form: str, *options) -> Path:
    """A new folder with this form of the run, signed, and checked by `agoge verify`."""
    folder = Path(tempfile.mkdtemp(prefix=f"agoge-{form}-"))
    key = folder / "key.pem"
    agoge("key", "new", key)
    to = folder / form
    agoge("export", "--out", run_folder(), "--to", form, "--dir", to, "--license", "Apache-2.0", "--sign", key, *options)
    said = agoge("verify", to, "--key", f"{key}.pub")
    assert "signed by the given key" in said, said
    return to


def rows(file: Path) -> list[dict]:
    """The rows of a file of JSON lines."""
    with file.open() as lines:
        return [json.loads(line) for line in lines]


def says_what_made_it(row: dict) -> None:
    """A row's license, provenance and digests."""
    made = row["agoge"]
    assert made["license"] == "Apache-2.0" and made["strategy"] and made["job"], made
    for digest in ("domain_digest", "suite_digest", "task_digest"):
        assert made[digest].startswith("sha256:"), made
