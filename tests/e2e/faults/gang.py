"""Ranks of one trainer: they start together or not at all, and when one is lost the others do not wait for it for ever."""

import functools
import re
import time

import objects
from objects import of, reason, state
from stage import ENDED

TEAM, NAME = "team", "gang"
# Millicores of a rank.
RANK = 700
LOST = ("RankLost", "Killed", "Stopped", "Crashed", "Infrastructure")


def millicores(text):
    return int(text[:-1]) if text.endswith("m") else int(float(text) * 1000)


def cpu(pod):
    containers = pod["spec"]["containers"]
    return sum(millicores(c.get("resources", {}).get("requests", {}).get("cpu", "0")) for c in containers)


class Gang:
    def __init__(self, stage):
        self.stage, self.watch, self.cluster = stage, stage.watch, stage.inside(TEAM)

    # --- what there is

    def status(self):
        return (self.watch.now("grporun", TEAM, NAME) or {}).get("status", {})

    def pods(self, key, attempt):
        """Ranks of an attempt, by index; those that are gone are not among them."""
        states = self.watch.all("pod", TEAM, of(NAME, key=key, attempt=attempt))
        names = sorted({pod["metadata"]["name"] for _, pod in states})
        return [pod for pod in (self.watch.now("pod", TEAM, name) for name in names) if pod]

    def moment(self, pod, fits):
        return self.watch.first("pod", TEAM, pod["metadata"]["name"], fits)[0]

    def both(self, key, attempt, fits, seconds=120):
        """Waits for both ranks of an attempt; gives the moments at which each did."""
        done = lambda: [pod for pod in self.pods(key, attempt) if self.watch.first("pod", TEAM, pod["metadata"]["name"], fits)]
        ranks = self.watch.until(f"both ranks of {key} {attempt}", lambda: done() if len(done()) == 2 else None, seconds)
        return [self.moment(pod, fits) for pod in ranks]

    # --- room

    def free(self):
        """Millicores of the node that nobody has asked for."""
        node = self.cluster.items("nodes")[0]
        everywhere = self.cluster.items("pods", "-A", "--field-selector=status.phase!=Succeeded,status.phase!=Failed")
        return millicores(node["status"]["allocatable"]["cpu"]) - sum(cpu(pod) for pod in everywhere if pod["spec"].get("nodeName"))

    def ballast(self):
        """A pod that leaves room for one rank and not for two."""
        asked = self.free() - RANK * 3 // 2
        safe = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
        container = {"name": "ballast", "image": "localhost/pause:dev", "securityContext": safe, "resources": {"requests": {"cpu": f"{asked}m"}}}
        spec = {"containers": [container], "terminationGracePeriodSeconds": 0}
        self.cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "ballast"}, "spec": spec})
        self.cluster.kubectl("wait", "--for=condition=Ready", "pod/ballast", "--timeout=60s")

    def apply(self):
        worker = {"gang": "podGroup", "resources": {"cpu": f"{RANK}m", "memory": "1Gi"}}
        more = {"worker": worker, "topology": {"trainers": 2}, "runPolicy": {"backoffLimit": 6}}
        self.cluster.apply(objects.run(NAME, {"name": "desk"}, **more))

    def together(self):
        self.ballast()
        self.apply()
        told = lambda: reason(self.watch.now("grporun", TEAM, NAME) or {}) in ("WaitingForGang", "Unschedulable")
        self.watch.until("the gang to wait", told, 60)
        self.stage.figures["gangWaitsAs"] = reason(self.watch.now("grporun", TEAM, NAME))
        time.sleep(5)
        ranks = self.pods("agent-sft", 0)
        bound = [pod["metadata"]["name"] for pod in ranks if pod["spec"].get("nodeName")]
        self.stage.check("with room for one of two ranks neither is placed, and it is told", len(ranks) == 2 and not bound and told(), (len(ranks), bound, self.status()))
        room = time.monotonic()
        self.cluster.kubectl("delete", "pod", "ballast", "--grace-period=0", "--force")
        placed = self.both("agent-sft", 0, lambda pod: pod["spec"].get("nodeName"))
        started = self.both("agent-sft", 0, lambda pod: state(pod, "running"))
        early = [at for at in placed if at < room]
        self.stage.figures["gang"] = {"secondsFromRoomToPlaced": round(max(placed) - room, 2), "secondsBetweenRanksPlaced": round(max(placed) - min(placed), 2),
                                      "secondsBetweenRanksStarted": round(max(started) - min(started), 2)}
        self.stage.check("with room for two both are placed together", not early and max(placed) - min(placed) < 2, (room, placed))

    # --- a lost rank

    def kept(self):
        """Whether a checkpoint of GRPO is in the store."""
        uid = self.watch.now("grporun", TEAM, NAME)["metadata"]["uid"]
        manifest = self.stage.out / "s3/data/agoge/e2e/kept/work" / uid / "grpo/0/manifest.json"
        return manifest.exists() and "grpo.ckpt" in manifest.read_text()

    def trains(self, attempt):
        """Waits until an attempt at GRPO has both ranks at work, has made a step of its own, and its checkpoint is kept."""
        self.both("grpo", attempt, lambda pod: state(pod, "running"), 180)
        before = self.status().get("step", 0)
        further = lambda: self.status().get("stage") == "grpo" and self.status().get("step", 0) > before and self.kept()
        self.watch.until(f"steps of attempt {attempt}", further, 120)
        # The store has it every five seconds.
        time.sleep(6)

    def lose(self, rank, attempt):
        """Kills a rank; the other ends by itself, and another attempt begins."""
        ranks = self.pods("grpo", attempt)
        victim, other = (next(pod for pod in ranks if self.index(pod) == r) for r in (rank, 1 - rank))
        step = self.status().get("step", 0)
        began = time.monotonic()
        self.cluster.kubectl("delete", "pod", victim["metadata"]["name"], "--grace-period=0", "--force")
        self.stage.say(f"killed rank {rank} of attempt {attempt} at step {step}: pod {victim['metadata']['name']}")
        ended = functools.partial(self.watch.first, "pod", TEAM, other["metadata"]["name"], lambda pod: state(pod, "terminated"))
        at, pod = self.watch.until("the other rank to end", ended, 120)
        code = state(pod, "terminated")["exitCode"]
        again = self.both("grpo", attempt + 1, lambda pod: state(pod, "running"), 120)
        tries = self.status().get("attempts", {}).get("grpo", {})
        self.stage.figures[f"rank {rank} lost"] = {"secondsUntilTheOtherEnds": round(at - began, 1), "exitCode": code, "reason": tries.get("reason"),
                                                   "secondsUntilBothRunAgain": round(max(again) - began, 1), "step": step}
        self.stage.check(f"when rank {rank} is lost the other ends soon, and another attempt begins", code == 3 and at - began < 70 and tries.get("reason") in LOST, (code, tries))

    def index(self, pod):
        return int(objects.labels(pod)["batch.kubernetes.io/job-completion-index"])

    def resumed(self, attempt):
        """The step from which rank 0 of an attempt went on; None when it began anew."""
        pod = next(pod for pod in self.pods("grpo", attempt) if self.index(pod) == 0)
        log = self.cluster.kubectl("logs", pod["metadata"]["name"])
        found = re.search(r"resumed.*steps=(\d+)", log)
        return int(found[1]) if found else None

    def steps(self):
        self.together()
        self.trains(0)
        self.lose(1, 0)
        self.trains(1)
        self.lose(0, 1)
        _, thing = self.watch.phase("grporun", TEAM, NAME, ENDED, 240)
        status = thing["status"]
        from_steps = [self.resumed(attempt) for attempt in (1, 2)]
        self.stage.figures["gangResumedFromSteps"] = from_steps
        self.stage.figures["gangSteps"] = status.get("stages", {}).get("grpo", {}).get("steps")
        self.stage.check("each attempt goes on from a checkpoint, and further each time", None not in from_steps and 0 < from_steps[0] < from_steps[1], from_steps)
        self.stage.check("the run becomes Complete", status["phase"] == "Complete" and status["restarts"] == 2, status)

    def all(self):
        self.stage.step("two ranks", self.steps)
