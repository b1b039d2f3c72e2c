"""A domain whose tools are on an MCP server: on a real Kubernetes the server is a sidecar of every worker, on a laptop a child.

A job, a suite and a run over a small booking desk become Complete in a namespace that enforces the restricted profile, with the digests
that `agoge up` of the same files has, though a server is killed on the way. The sidecar runs as the worker does and knows no secret.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "faults"), str(HERE.parent)]
import objects  # noqa: E402
from cluster import Failed, sh, wait  # noqa: E402
from stage import ENDED, Stage  # noqa: E402

TEAM, IMAGE, ROOMS = "team", "localhost/rooms:dev", 24
SCRIPT = pathlib.Path("tests/servers/rooms.py")
KINDS = ("synthesisjob", "checkersuite", "grporun")


def python():
    """This Python's program, and the files that an image needs of it, each with its path there."""
    library = pathlib.Path(sysconfig.get_paths()["stdlib"])
    program = os.path.realpath(os.path.join(sysconfig.get_config_var("BINDIR"), f"python{sysconfig.get_python_version()}"))
    unused = re.compile(r"/(__pycache__|site-packages|tests?|idlelib|tkinter|ensurepip|lib2to3|config-[^/]*)/|/(_tkinter|_curses|readline|nis|_ssl|_sqlite|_dbm|_gdbm)")
    files = {str(path): f"/usr/lib/{library.name}/{path.relative_to(library)}"
             for path in library.rglob("*") if path.is_file() and path.suffix in (".py", ".so") and not unused.search(str(path))}
    for loaded in [program, *[path for path in files if path.endswith(".so")]]:
        for line in sh("ldd", loaded, check=False).splitlines():
            if found := re.search(r"(?:=> )?(/\S+) \(0x", line):
                path = found[1]
                files[path] = path if path.startswith("/lib") else f"/usr/lib/{pathlib.Path(path).name}"
    return program, files


def domain(folder):
    """A booking desk of many rooms. Its server lies in the folder, so that a laptop can start it."""
    (folder / "server").mkdir(parents=True)
    shutil.copy(SCRIPT, folder / "rooms.py")
    tools = {"mcp": {"command": ["python3", "$DOMAIN/rooms.py", "stdio"], "state": {"files": ["rooms.json"]}, "hide": {"session": "s"},
                     "omit": ["crash", "wait", "reach", "visits", "reset_rooms", "dump_rooms"]}}
    rooms = {str(n): {"beds": 1 + n % 2, "guests": []} for n in range(ROOMS)}
    head = {"name": "rooms", "format": 2, "prompt": "rooms desk", "errorText": "{}", "now": "2025-03-01T09:00:00", "tools": tools}
    files = {"domain.yaml": head, "schema.json": {"type": "object"}, "state.json": {}, "server/rooms.json": {"rooms": rooms}}
    for name, value in files.items():
        (folder / name).write_text(json.dumps(value))
    (folder / "policy.md").write_text("Book rooms for guests. Say that it is booked.\n")
    (folder / "tasks.jsonl").write_text("".join(json.dumps(task(n)) + "\n" for n in range(ROOMS)))


def task(n):
    guest = ["ann", "bob", "cid"][n % 3]
    user = {"instruction": f"You want room {n} for {guest}.", "opening": f"Please book room {n} for {guest}."}
    gold = [{"name": "book_room", "arguments": {"id": str(n), "guest": {"name": guest}}}]
    return {"id": f"t{n}", "split": "heldout" if n % 4 == 0 else "train", "user": user, "agent": {"answer": "It is booked."}, "gold": gold, "outputs": ["booked"]}


def manifests():
    server = {"image": IMAGE, "command": ["/python", "/rooms.py", "streamable", "$(PORT)", "0.0.0.0"], "env": {"PYTHONHOME": "/usr"}}
    worker = {"worker": {"toolServer": server}}
    strategy = {"name": "given", "target": {"accepted": 42}}
    fresh = {"hiddenSize": 64, "layers": 2, "heads": 4, "kvHeads": 2, "intermediateSize": 160, "vocabSize": 512, "maxLength": 512}
    stages = {"agentSFT": {"learningRate": 0.003, "batch": 4, "maxEpochs": 20, "patience": 20},
              "grpo": {"groupSize": 4, "groupsPerStep": 4, "maxTrajectoryTokens": 400, "steps": 40, "filter": {"rule": "none"}},
              "evaluation": {"tasks": 6, "samples": 2, "arms": ["empty", "random", "sft", "grpo"]}}
    run = {"suite": {"name": "rooms", "minMutationScore": 0.5}, "domain": "rooms", "deterministic": True, "policy": {"fresh": fresh}, "user": {"model": "scripted"}, "stages": stages}
    return [
        objects.made("SynthesisJob", "rooms", {"domain": "rooms", "deterministic": True, "strategies": [strategy]} | worker),
        objects.made("CheckerSuite", "rooms", {"domain": "rooms", "source": {"synthesisJob": "rooms"}} | worker),
        objects.made("GRPORun", "rooms", run | worker),
    ]


class Tools(Stage):
    def __init__(self):
        super().__init__("out/e2e-tools", TEAM)

    def prepare(self):
        self.fresh()
        domain(self.out / "desk/domain")
        text = "---\n".join(json.dumps(manifest) + "\n" for manifest in manifests())
        (self.out / "desk/rooms.yaml").write_text(text)
        sh(objects.AGOGE, "domain", "check", str(self.out / "desk/domain"))
        program, files = python()
        shutil.copy(program, self.out / "python")
        files = [f"{source}={path}" for source, path in (files | {str(SCRIPT): "/rooms.py"}).items()]
        sh("hack/cluster/image", IMAGE, str(self.out / "rooms.tar"), str(self.out / "python"), *files)
        self.images()
        self.up()
        self.load(str(self.out / "rooms.tar"))
        self.s3(True)
        self.charts()

    def begin(self):
        self.cluster.apply(objects.packed(self.out / "desk/domain", "rooms"), self.s3_secret())
        self.cluster.kubectl("apply", "-f", str(self.out / "desk/rooms.yaml"))

    def sidecar(self):
        """A worker's pod with its server, and the server's end while rollouts call it."""
        pod = wait("a worker that trains", lambda: self.cluster.pods(owner="rooms", key="grpo"), 300)[0]
        server = next(one for one in pod["spec"]["initContainers"] if one["name"] == "tools")
        worker = pod["spec"]["containers"][0]
        context = server["securityContext"]
        restricted = (context["capabilities"]["drop"] == ["ALL"] and not context["allowPrivilegeEscalation"] and context["readOnlyRootFilesystem"]
                      and server["restartPolicy"] == "Always" and not pod["spec"]["automountServiceAccountToken"])
        self.check("the server is a restricted sidecar", restricted, server)
        secret = lambda container: [one for one in container.get("env", []) + container.get("envFrom", []) if "secret" in json.dumps(one).lower()]
        self.check("it has none of the worker's secrets", secret(worker) and not secret(server), (secret(worker), secret(server)))
        name = pod["metadata"]["name"]
        self.cluster.kubectl("exec", name, "-c", "tools", "--", "/python", "-c", "import os; os.kill(1, 15)", check=False)
        restarted = lambda: next((one for one in (self.cluster.get("pod", name) or {}).get("status", {}).get("initContainerStatuses", [])
                                  if one["name"] == "tools" and one["restartCount"] > 0), None)
        wait("the server to come back", lambda: restarted() or self.ended("grporun"), 120)
        self.check("a server that was killed is started again", restarted(), "the run had ended before")

    def ended(self, kind):
        return self.cluster.status(kind, "rooms").get("phase") in ENDED

    def results(self):
        for kind in KINDS:
            wait(f"the {kind}'s end", lambda kind=kind: self.ended(kind), 600)
            status = self.cluster.status(kind, "rooms")
            self.check(f"the {kind} is Complete", status["phase"] == "Complete", status.get("conditions"))
        self.figures["arms"] = self.cluster.status("grporun", "rooms").get("arms")

    def laptop(self):
        out = self.out / "laptop"
        command = [objects.AGOGE, "up", "-f", str(self.out / "desk"), "--out", str(out)]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise Failed(f"agoge up: exit {done.returncode}: {done.stderr[-1500:]}")
        for file in (out / "objects").glob("*.json"):
            kind = file.name.split("-")[0]
            ours, theirs = json.loads(file.read_text())["status"], self.cluster.status(kind, "rooms")
            stages = lambda status: {name: stage.get("digest") for name, stage in status.get("stages", {}).items()}
            both = (ours.get("digest"), stages(ours)), (theirs.get("digest"), stages(theirs))
            self.figures[f"{kind} digest"] = both[0][0]
            self.check(f"the {kind} has the laptop's digests", both[0][0] and both[0] == both[1], both)

    def all(self):
        self.step("images, cluster, charts", self.prepare)
        self.step("manifests", self.begin)
        self.step("the sidecar", self.sidecar)
        self.step("results", self.results)
        self.step("the same on a laptop", self.laptop)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the cluster up")
    Tools().conduct(parser.parse_args().keep)


if __name__ == "__main__":
    main()
