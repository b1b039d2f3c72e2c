"""Runs each subject twice, undisturbed and under faults, and compares what the two left.

usage: chaos.py OUT [evaluation|synthesis|grpo|cluster ...]

A disturbed subject that ends with an error is started again by the command that its error names, as a person would. At the end
its rewards, rows and digests must be those of the undisturbed one. Faults of the endpoint come by the number of the request, all others by the
clock; the figures, with what happened and when, are in OUT/result.json.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from endpoint import Endpoint

OUT, DISK = Path(sys.argv[1]).resolve(), Path(sys.argv[1]).resolve() / "disk"
COURIER = Path("examples/courier").resolve()
ENDPOINT_FAULTS = [(4, "html"), (9, "limit"), (10, "limit"), (11, "limit"), (16, "half"), (20, "error200"), (24, "empty"), (30, "stall"), (36, "dead")]
ATTEMPTS = 20


def descendants(pid):
    """Processes below this one: (pid, name)."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                name, rest = (entry / "stat").read_text().split("(", 1)[1].rsplit(") ", 1)
                parents[int(entry.name)] = (int(rest.split()[1]), name)
            except (OSError, IndexError):
                pass
    family, grew = {pid}, True
    while grew:
        more = {p for p, (parent, _) in parents.items() if parent in family} - family
        family |= more
        grew = bool(more)
    return [(p, parents[p][1]) for p in family if p in parents and p != pid]


class Disturber(threading.Thread):
    """Does what a timetable says to a process and to the disk: [(seconds, fault)]. What finds no victim is tried again for a while."""

    def __init__(self, timetable):
        super().__init__(daemon=True)
        self.timetable, self.happened, self.process, self.over = list(timetable), [], None, threading.Event()

    def run(self):
        began = time.time()
        for after, fault in self.timetable:
            while time.time() - began < after and not self.over.is_set():
                time.sleep(0.1)
            for _ in range(200):
                if self.over.is_set() or self.do(fault):
                    break
                time.sleep(0.1)

    def do(self, fault):
        process = self.process
        if fault == "full disk":
            self.happened.append({"fault": fault, "second": round(time.time() - process.born, 1) if process else None})
            self.fill(15)
            return True
        name = {"lost worker": "agoge-worker", "killed sandbox": "agoge-sandbox", "stopped sandbox": "agoge-sandbox", "lost agoge": None}[fault]
        if process is None or process.poll() is not None:
            return False
        victims = [process.pid] if name is None else [p for p, n in descendants(process.pid) if n == name[:15]]
        if not victims:
            return False
        try:
            if fault == "stopped sandbox":
                os.kill(victims[0], signal.SIGSTOP)
                threading.Timer(20, lambda: resume(victims[0])).start()
            else:
                os.kill(victims[0], signal.SIGKILL)
        except ProcessLookupError:
            return False
        self.happened.append({"fault": fault, "second": round(time.time() - process.born, 1)})
        return True

    def fill(self, seconds):
        balloon = DISK / "balloon"
        try:
            with open(balloon, "wb", buffering=0) as file:
                while True:
                    file.write(b"\0" * (1 << 20))
        except OSError:
            self.over.wait(seconds)
        balloon.unlink(missing_ok=True)


def resume(pid):
    try:
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        pass


def run(commands, disturber=None, log=None):
    """Runs the first command; while it fails, the last one again. Returns (seconds, exit codes)."""
    began, codes = time.time(), []
    with open(log, "wb") as said:
        for attempt in range(ATTEMPTS if disturber else 1):
            process = subprocess.Popen(commands[min(attempt, len(commands) - 1)], stdout=said, stderr=said)
            process.born = began
            if disturber:
                disturber.process = process
                if disturber.ident is None:
                    disturber.start()
            codes.append(process.wait())
            if codes[-1] == 0:
                break
            time.sleep(10)
    if disturber:
        disturber.over.set()
    return round(time.time() - began, 1), codes


def desk(folder, patch=None):
    subprocess.run(["agoge", "domain", "new", str(folder / "desk")], check=True, stdout=subprocess.DEVNULL)
    if patch:
        (folder / "patch.yaml").write_text(patch)


def status(out, name):
    return json.loads((out / "objects" / f"{name}.json").read_text()).get("status", {})


def stored(out, digest):
    """The bytes of an object of the run's store."""
    value = digest.removeprefix("sha256:")
    return (out / "store/objects" / value[:2] / value[2:]).read_bytes()


# Each subject gives: how to run it in a folder, with which endpoint, and the rows that it left as {key: value}.

def evaluation(folder, endpoint, disturber):
    desk(folder)
    command = ["agoge", "eval", "--endpoint", endpoint.url, "-f", str(folder / "desk"), "--tasks", "40", "--samples", "2", "--concurrency", "4",
               "--native-calls", "--timeout", "15", "--json", str(folder / "eval.json")]
    took = run([command], disturber, OUT / f"{folder.name}.log")
    dialogues = json.loads((folder / "eval.json").read_text())["dialogues"]
    return took, [((d["task"], d.get("trial", d.get("sample"))), d["reward"]) for d in dialogues]


def synthesis(folder, endpoint, disturber):
    command = ["agoge", "up", "-f", str(COURIER / "synthesisjob.yaml"), "--endpoint", f"qwen={endpoint.url}", "--out", str(folder / "out"),
               "--no-progress"]
    took = run([command, [*command, "--retry"]], disturber, OUT / f"{folder.name}.log")
    told = status(folder / "out", "synthesisjob-courier")
    rows = [("digest", told.get("digest"))]
    for name, strategy in told.get("strategies", {}).items():
        # The first line is the format; the others are attempts, with gate, cause and dialogue.
        for line in stored(folder / "out", strategy["digest"]).decode().splitlines()[1:]:
            rows.append(((name, json.loads(line)["id"]), line))
    return took, rows


GRPO = """kind: SynthesisJob
metadata: {name: desk}
spec: {deterministic: true}
---
kind: GRPORun
metadata: {name: desk}
spec:
  deterministic: true
  stages:
    agentSFT: {maxEpochs: 6}
    grpo: {steps: 400, wallClock: null, groupSize: 8, groupsPerStep: 8, checkpointEvery: 10}
    evaluation: {tasks: 32, samples: 4, arms: [empty, sft, grpo]}
"""


def grpo(folder, endpoint, disturber):
    desk(folder, GRPO)
    command = ["agoge", "up", "-f", str(folder / "desk"), "--patch", str(folder / "patch.yaml"), "--out", str(folder / "out"), "--no-progress"]
    took = run([command, [*command, "--retry"]], disturber, OUT / f"{folder.name}.log")
    rows = [("suite", status(folder / "out", "checkersuite-desk").get("digest"))]
    told = status(folder / "out", "grporun-desk")
    for stage, figures in told.get("stages", {}).items():
        record = json.loads(stored(folder / "out", figures["digest"]))
        rows.append(((stage, "model"), json.dumps(record.get("model"))))
        for step in record.get("curve", []):
            number = step.get("step", step.get("epoch"))
            rows.append(((stage, number), json.dumps({k: v for k, v in step.items() if "second" not in k.lower()}, sort_keys=True)))
    rows.append(("arms", json.dumps(told.get("arms"), sort_keys=True)))
    return took, rows


SUBJECTS = {
    "evaluation": (evaluation, [(1, "killed sandbox"), (3, "stopped sandbox"), (8, "full disk"), (170, "killed sandbox"), (172, "lost agoge")], None),
    "synthesis": (synthesis, [(5, "killed sandbox"), (12, "lost worker"), (25, "full disk"), (60, "stopped sandbox"), (90, "lost worker"),
                              (120, "killed sandbox")], "replay"),
    "grpo": (grpo, [(2, "killed sandbox"), (5, "lost worker"), (22, "full disk"), (55, "killed sandbox"), (60, "stopped sandbox"), (85, "lost worker"),
                    (100, "lost agoge"), (110, "killed sandbox")], None),
}


def replaying():
    """The recordings' endpoint: (process, URL)."""
    process = subprocess.Popen(["agoge-worker", "replay", "--recordings", str(COURIER / "recordings"), "--listen", "127.0.0.1:0", "--wait", "0.2"],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in process.stdout:
        if "http://" in line:
            return process, "http://" + line.split("http://", 1)[1].split("/")[0]
    raise SystemExit("agoge-worker replay did not start")


def play(subject, disturbed):
    do, timetable, upstream = SUBJECTS[subject]
    folder = DISK / f"{subject}-{'disturbed' if disturbed else 'undisturbed'}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    process, url = replaying() if upstream else (None, None)
    endpoint = Endpoint(url, ENDPOINT_FAULTS if disturbed else (), wait=0.3)
    disturber = Disturber(timetable) if disturbed else None
    try:
        (seconds, codes), rows = do(folder, endpoint, disturber)
    finally:
        if process:
            process.kill()
    return {"seconds": seconds, "exitCodes": codes, "rows": rows, "paid": endpoint.paid, "endpointFaults": endpoint.faults,
            "faults": disturber.happened if disturber else []}


def compare(clean, disturbed):
    before, after = dict(clean["rows"]), dict(disturbed["rows"])
    twice = sum(n - 1 for n in disturbed["paid"].values()) - sum(n - 1 for n in clean["paid"].values())
    # A reply that never arrived whole is asked for again; so is what was in flight when a process was lost.
    flying = sum(f["inFlight"] for f in disturbed["endpointFaults"]) + 4 * sum(f["fault"].startswith(("lost", "full")) for f in disturbed["faults"])
    return {
        "rewardsThatDiffer": sum(after[k] != v for k, v in before.items() if k in after),
        "rowsLost": len(set(before) - set(after)),
        "rowsDoubled": len(disturbed["rows"]) - len(after) + len(set(after) - set(before)),
        "answersPaidTwice": max(0, twice), "callsInFlight": flying, "rows": len(before),
    }


def cluster():
    """What `make e2e` found: a shard, the trainer, the leader and the store were lost, and all digests must be those of the laptop."""
    told = json.loads((OUT.parent / "e2e/result.json").read_text())
    same = [f"{what} the laptop's" for what in ("the dataset's digest is", "the suite's digest is", "every stage's record and loss trace is")]
    missing = [check for check in same if check not in told["checks"]]
    return {"holds": not missing and not told.get("error"), "rewardsThatDiffer": len(missing), "rowsLost": len(missing), "rowsDoubled": len(missing),
            "where": "cluster", "seconds": told.get("seconds"), "checks": told["checks"], "error": told.get("error")}


def main():
    file = OUT / "result.json"
    # Subjects that are not run this time keep their figures.
    results, ok = json.loads(file.read_text()) if file.is_file() else {}, True
    for subject in sys.argv[2:] or SUBJECTS:
        if subject == "cluster":
            results[subject] = cluster()
            ok = ok and results[subject]["holds"]
            file.write_text(json.dumps(results, indent=1) + "\n")
            continue
        clean, disturbed = play(subject, False), play(subject, True)
        figures = compare(clean, disturbed)
        holds = (figures["rows"] > 2 and clean["exitCodes"] == [0] and disturbed["exitCodes"][-1] == 0 and figures["answersPaidTwice"] <= figures["callsInFlight"]
                 and not any(figures[k] for k in ("rewardsThatDiffer", "rowsLost", "rowsDoubled")))
        ok = ok and holds
        results[subject] = {"holds": holds, **figures, "where": "laptop", "secondsUndisturbed": clean["seconds"], "seconds": disturbed["seconds"],
                            "exitCodes": disturbed["exitCodes"], "faults": disturbed["endpointFaults"] + disturbed["faults"]}
        print(subject, json.dumps(results[subject]), flush=True)
        file.write_text(json.dumps(results, indent=1) + "\n")
    sys.exit(0 if ok else 1)


main()
