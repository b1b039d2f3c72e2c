"""Whatever is reported, a status stays small.

Pods that no node fits: the test plays their kubelet, and lets them end with the report of a job of a million samples.
"""

import json

import objects
from objects import config, of
from stage import ENDED

TEAM = "team"
NOWHERE = {"worker": {"nodeSelector": {"disk": "golden"}}}
MOST = 16 << 10
SAMPLES = 1_000_000
DIGEST = "sha256:" + "5e" * 32
# What JSON makes longest: six bytes for one.
HOSTILE = "<"


def compact(status):
    """As the API server stores it: compact, and with Go's escapes."""
    text = json.dumps(status, separators=(",", ":"), ensure_ascii=False)
    return "".join(f"\\u{ord(c):04x}" if c in "<>&\u2028\u2029" else c for c in text).encode()


def generation(number, filling):
    third = 1 / 3
    figures = {"attempted": SAMPLES, "valid": SAMPLES, "accepted": SAMPLES, "tokens": 10**12, "cost": 100_000 * third}
    blame = dict.fromkeys(("task", "trajectory", "user", "infra"), SAMPLES)
    interval = {"value": third, "low": third / 10, "high": third * 100}
    return {"generation": number, "digest": DIGEST, "parent": DIGEST, "change": filling * 1000, "outcome": "rolledBack",
            "yield": interval, "attribution": blame, **figures}


def synthesized(filling):
    """A report far longer than what a status may hold."""
    rejected = {f"{filling * 120}-{gate:03}": SAMPLES - gate for gate in range(300)}
    blame = dict.fromkeys(("task", "trajectory", "user", "infra"), SAMPLES)
    return {"attempted": SAMPLES, "valid": SAMPLES, "accepted": SAMPLES, "tokens": 10**12, "cost": 100_000 / 3, "generation": 99,
            "plan": DIGEST, "rejected": rejected, "attribution": blame, "lineage": [generation(n, filling) for n in range(40)], "digest": DIGEST}


def qualified(filling):
    reasons = [{"reason": f"{n} {filling * 500}", "count": SAMPLES - n} for n in range(300)]
    return {"checkers": SAMPLES, "qualified": SAMPLES, "mutationScore": 1.0, "flake": 1 / 3, "p95Ms": 1000 / 3, "digest": DIGEST, "quarantined": reasons}


def trained(filling):
    third = 1 / 3
    row = {"pass": [third] * 20, "low": third, "high": third * 2, "tasks": SAMPLES}
    arms = {f"{n:02}{filling * 100}": row for n in range(60)}
    return {"step": SAMPLES, "total": SAMPLES, "reward": third, "kl": third, "entropy": third, "mixed": third, "staleness": SAMPLES, "tokensPerSecond": 1e9 * third,
            "checkpoint": SAMPLES, "seconds": 1e6 * third, "trainedTokens": 10**12, "errorRate": third, "arms": arms, "digest": DIGEST}


class Size:
    def __init__(self, stage):
        self.stage, self.watch, self.cluster = stage, stage.watch, stage.inside(TEAM)

    def apply(self):
        made = [config("unasked", "endpoint", url="http://127.0.0.1:9")]
        for name in ("large", "hostile"):
            # Both strategies, so that both have gates; sea alone has a lineage.
            both = objects.sea(name, "unasked", **NOWHERE)
            both["spec"]["strategies"] += objects.synthesis(name)["spec"]["strategies"]
            made += [both, objects.suite(name, "desk", **NOWHERE), objects.run(name, {"name": "desk"}, **NOWHERE)]
        self.cluster.apply(*made)

    def finish(self, key, name, report):
        """Ends the pod of a child as its kubelet would. The report is longer than a kubelet lets through."""
        pods = lambda: [pod for _, pod in self.watch.all("pod", TEAM, of(name, key=key)) if self.watch.now("pod", TEAM, pod["metadata"]["name"])]
        pod = self.watch.until(f"a pod of {name} {key}", pods, 60)[-1]["metadata"]["name"]
        when = "2026-01-01T00:00:00Z"
        ended = {"exitCode": 0, "reason": "Completed", "message": json.dumps({"result": report}, ensure_ascii=False), "startedAt": when, "finishedAt": when}
        container = {"name": "worker", "image": "any", "imageID": "any", "ready": False, "restartCount": 0, "state": {"terminated": ended}}
        patch = {"status": {"phase": "Succeeded", "containerStatuses": [container]}}
        file = self.stage.out / "pod-status.json"
        file.write_text(json.dumps(patch, ensure_ascii=False))
        self.cluster.kubectl("patch", "pod", pod, "--subresource=status", "--type=merge", f"--patch-file={file}")

    def measure(self, kind, name):
        _, thing = self.watch.phase(kind, TEAM, name, ENDED, 60)
        largest = max((len(compact(s.get("status", {}))) for _, s in self.watch.history(kind, TEAM, name) if s), default=0)
        self.stage.figures.setdefault("statusBytes", {})[f"{kind}, {name}"] = largest
        ended = thing["status"]["phase"] == "Complete"
        self.stage.check(f"a {name} {kind}'s status stays below 16 KiB", ended and largest < MOST, (largest, thing["status"]["conditions"]))
        return thing["status"]

    def steps(self):
        self.apply()
        for name, filling in (("large", "ü"), ("hostile", HOSTILE)):
            for key in ("synthesize-template", "synthesize-sea"):
                self.finish(key, name, synthesized(filling))
            self.finish("qualify", name, qualified(filling))
            for key in ("agent-sft", "grpo", "evaluate"):
                self.finish(key, name, trained(filling))
            status = self.measure("synthesisjob", name)
            self.measure("checkersuite", name)
            self.measure("grporun", name)
            if name == "large":
                self.stage.figures["samples"] = status["attempted"]
                self.stage.check("a million samples are counted", status["attempted"] == 2 * SAMPLES and len(status["lineage"]) == 8, status["attempted"])

    def all(self):
        self.stage.step("a million samples", self.steps)
