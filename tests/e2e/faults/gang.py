"""Ranks of one trainer: they start together or not at all, and when one is lost the others do not wait for it for ever."""

import functools
import json
import re
import time

import lose
import objects
from objects import labels, of, reason, state
from stage import ENDED

TEAM, NAME = "team", "gang"
# Millicores of a rank.
RANK = 700
LOST = ("Killed", "RankLost")


def running(pod):
    return state(pod, "running")


def millicores(text):
    return int(text[:-1]) if text.endswith("m") else int(float(text) * 1000)


def cpu(pod):
    containers = pod["spec"]["containers"]
    return sum(millicores(c.get("resources", {}).get("requests", {}).get("cpu", "0")) for c in containers)


class Gang:
    def __init__(self, stage):
        self.stage, self.watch, self.cluster = stage, stage.watch, stage.inside(TEAM)
        # Pods of GRPO that were lost.
        self.gone = set()

    # --- what there is

    def status(self):
        return (self.watch.now("grporun", TEAM, NAME) or {}).get("status", {})

    def ranks(self, key, fits=lambda pod: True, without=()):
        """The pods of a stage that there are now and that nobody named before, by rank."""
        names = {pod["metadata"]["name"] for _, pod in self.watch.all("pod", TEAM, of(NAME, key=key))} - set(without)
        pods = [pod for pod in (self.watch.now("pod", TEAM, name) for name in names) if pod and fits(pod)]
        return {int(labels(pod)["batch.kubernetes.io/job-completion-index"]): pod for pod in pods}

    def both(self, key, fits, seconds=120, without=()):
        """Waits for both ranks; gives them, and the moments at which each was so first."""
        look = lambda: self.ranks(key, fits, without)
        pods = self.watch.until(f"both ranks of {key}", lambda: look() if len(look()) == 2 else None, seconds)
        return pods, [self.watch.first("pod", TEAM, pod["metadata"]["name"], fits)[0] for pod in pods.values()]

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
        # A seed of its own: what another run of the same seed has made would be found in the store.
        more = {"worker": worker, "topology": {"trainers": 2}, "runPolicy": {"backoffLimit": 6}, "seed": 2}
        self.cluster.apply(objects.run(NAME, {"name": "desk"}, **more))

    def together(self):
        self.ballast()
        self.apply()
        told = lambda: reason(self.watch.now("grporun", TEAM, NAME) or {}) in ("WaitingForGang", "Unschedulable")
        self.watch.until("the gang to wait", told, 60)
        self.stage.figures["gangWaitsAs"] = reason(self.watch.now("grporun", TEAM, NAME))
        time.sleep(5)
        ranks = self.ranks("agent-sft")
        bound = [pod["metadata"]["name"] for pod in ranks.values() if pod["spec"].get("nodeName")]
        self.stage.check("with room for one of two ranks neither is placed, and it is told", len(ranks) == 2 and not bound and told(), (ranks.keys(), bound, self.status()))
        room = time.monotonic()
        self.cluster.kubectl("delete", "pod", "ballast", "--grace-period=0", "--force")
        _, placed = self.both("agent-sft", lambda pod: pod["spec"].get("nodeName"))
        _, started = self.both("agent-sft", running)
        early = [at for at in placed if at < room]
        self.stage.figures["gang"] = {"secondsFromRoomToPlaced": round(max(placed) - room, 2), "secondsBetweenRanksPlaced": round(max(placed) - min(placed), 2),
                                      "secondsBetweenRanksStarted": round(max(started) - min(started), 2)}
        self.stage.check("with room for two both are placed together", not early and max(placed) - min(placed) < 2, (room, placed))

    # --- a lost rank

    def kept(self):
        """GRPO's checkpoint as it is in the store: the digests of its pieces; None before there is one."""
        uid = self.watch.now("grporun", TEAM, NAME)["metadata"]["uid"]
        manifest = self.stage.out / "s3/data/agoge/e2e/kept/work" / uid / "grpo/0/manifest.json"
        files = json.loads(manifest.read_text())["files"] if manifest.exists() else {}
        return files.get("grpo.ckpt", {}).get("pieces")

    def trains(self, without=()):
        """Waits until both ranks are at work and a checkpoint of theirs is in the store; gives them."""
        pods, _ = self.both("grpo", running, 180, without)
        before = self.kept()
        self.watch.until("a checkpoint of GRPO", lambda: self.kept() not in (None, before), 120)
        return pods

    def lose(self, rank, how, by):
        """Loses a rank, and waits for the end of the other and for two new ones; gives the other's exit code and the new ones."""
        pods = self.trains(self.gone)
        self.gone |= {pod["metadata"]["name"] for pod in pods.values()}
        victim, other = pods[rank], pods[1 - rank]["metadata"]["name"]
        began = time.monotonic()
        by(self.cluster, victim)
        self.stage.say(f"{how}: rank {rank}, pod {victim['metadata']['name']}")
        ended = functools.partial(self.watch.first, "pod", TEAM, other, lambda pod: state(pod, "terminated"))
        at, pod = self.watch.until("the other rank to end", ended, 120)
        again, moments = self.both("grpo", running, 120, self.gone)
        code = state(pod, "terminated")["exitCode"]
        self.stage.figures[f"rank {rank} {how}"] = {"secondsUntilTheOtherEnds": round(at - began, 1), "otherExitCode": code, "secondsUntilBothRunAgain": round(max(moments) - began, 1)}
        return code, again

    def tries(self):
        return self.status().get("attempts", {}).get("grpo", {})

    def lost(self):
        code, again = self.lose(1, "deleted", lose.delete)
        attempts = {labels(pod)["agoge.dev/attempt"] for pod in again.values()}
        self.stage.check("when a rank's pod is deleted both stop, and both come again without a failure", code == 130 and attempts == {"0"} and not self.tries(), (code, attempts, self.tries()))
        code, again = self.lose(0, "killed", lose.kill)
        attempts, tries = {labels(pod)["agoge.dev/attempt"] for pod in again.values()}, self.tries()
        self.stage.figures["rank 0 killed"]["reason"] = tries.get("reason")
        known = attempts == {"1"} and tries.get("failures") == 1 and tries.get("reason") in LOST
        self.stage.check("when a rank is killed the other does not wait for it, and another attempt begins", code in (3, 130) and known, (code, attempts, tries))

    def resumed(self):
        """The steps from which rank 0 went on, oldest first; a pod that began anew has none."""
        pods = {pod["metadata"]["name"]: pod for _, pod in self.watch.all("pod", TEAM, of(NAME, key="grpo")) if "-grpo-0-" in pod["metadata"]["name"] or "-grpo-1-0-" in pod["metadata"]["name"]}
        oldest = sorted(pods.values(), key=lambda pod: pod["metadata"]["creationTimestamp"])
        logs = [self.cluster.kubectl("logs", pod["metadata"]["name"], check=False) for pod in oldest]
        return [int(found[1]) for found in (re.search(r"resumed.*steps=(\d+)", log) for log in logs) if found]

    def steps(self):
        self.together()
        self.lost()
        _, thing = self.watch.phase("grporun", TEAM, NAME, ENDED, 240)
        status, steps = thing["status"], self.resumed()
        self.stage.figures["gangResumedFromSteps"] = steps
        self.stage.figures["gangSteps"] = status.get("stages", {}).get("grpo", {}).get("steps")
        self.stage.check("each time it goes on from a checkpoint, and further", len(steps) == 2 and 0 < steps[0] < steps[1], steps)
        self.stage.check("the run becomes Complete", status["phase"] == "Complete", status)

    def all(self):
        self.stage.step("two ranks", self.steps)
