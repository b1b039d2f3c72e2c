"""Measures `agoge env serve` on two cores: 1,000 sessions held, then 200 tool calls a second from another process on the same
cores. Writes out/bench-env/result.json, and exits with 1 when a figure is beyond its bound."""

import json
import os
import subprocess
import sys
from pathlib import Path

from served import COURIER, ROOT, serving

SESSIONS, RATE, SECONDS = 1000, 200, 20
BOUNDS = {"rssMb": 500.0, "p99Ms": 5.0}
LOAD = ROOT / "target/release/examples/bench_env"


def children(pid: int) -> list[int]:
    """The process and all below it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += children(int(child))
    return found


def rss_mb(pids: list[int]) -> float:
    """The resident memory of processes, in MB; pages that several share are counted for each."""
    kib = 0
    for pid in pids:
        status = Path(f"/proc/{pid}/status").read_text()
        kib += next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    return kib * 1024 / 1e6


def main() -> None:
    cores = sorted(os.sched_getaffinity(0))[:2]
    os.sched_setaffinity(0, cores)
    with serving(COURIER, "--worlds", "2") as server:
        pids = children(server.process.pid)
        before = rss_mb(pids)
        host = server.url.removeprefix("http://")
        command = [LOAD, host, str(SESSIONS), str(RATE), str(SECONDS)]
        load = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        pids = children(server.process.pid)
        result = {
            "cores": len(cores),
            "processes": len(pids),
            "rssMbEmpty": round(before, 1),
            "rssMb": round(rss_mb(pids), 1),
            "load": load,
            "bounds": BOUNDS,
        }
    figures = {"rssMb": result["rssMb"], "p99Ms": load["p99Ms"]}
    result["held"] = {name: figures[name] < bound for name, bound in BOUNDS.items()}
    folder = ROOT / "out/bench-env"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))
    sys.exit(0 if all(result["held"].values()) else 1)


main()
