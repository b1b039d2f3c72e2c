"""A Job that a queue lets start, takes back and lets start again.

The test acts in Kueue's place, as Kueue does: it changes `spec.suspend` and the template's node selector of the batch/v1
Job, and nothing else.
"""

import json
import re

import objects
from objects import labels, of, reason, state
from stage import ENDED

TEAM, NAME, JOB = "team", "queued", "queued-qualify"
CHECKERS = 240
FLAVOR = {"kubernetes.io/os": "linux"}


class Kueue:
    def __init__(self, stage):
        self.stage, self.watch, self.cluster = stage, stage.watch, stage.inside(TEAM)

    def apply(self):
        # So much to do with so little of a core that it is still at work when it is taken back.
        worker = {"queue": "team-queue", "resources": {"cpu": "250m", "memory": "1Gi"}}
        self.cluster.apply(objects.suite(NAME, "desk", qualification={"mutants": 100, "repeats": 100, "p95": "10s"}, worker=worker))

    def change(self, spec):
        self.cluster.kubectl("patch", "job", JOB, "--type=merge", "-p", json.dumps({"spec": spec}))

    def now(self):
        return self.watch.now("checkersuite", TEAM, NAME) or {}

    def status(self):
        return self.now().get("status", {})

    def done(self):
        """Checkers that were tried so far."""
        return self.status().get("checkers", 0)

    def pods(self, fits=lambda pod: True):
        """This object's pods that there are now, by name."""
        return self.watch.there("pod", TEAM, lambda pod: of(NAME)(pod) and fits(pod))

    def runs(self):
        return self.pods(lambda pod: state(pod, "running") is not None)

    def queued(self):
        """It is made suspended, and says so."""
        self.watch.until("a Job", lambda: self.watch.now("job", TEAM, JOB), 60)
        _, job = self.watch.history("job", TEAM, JOB)[0]
        label = labels(job).get("kueue.x-k8s.io/queue-name")
        self.stage.check("a queued Job is made suspended, with its queue's label", job["spec"]["suspend"] and label == "team-queue", (job["spec"]["suspend"], label))
        _, thing = self.watch.until("Queued", lambda: self.watch.first("checkersuite", TEAM, NAME, lambda thing: reason(thing) == "Queued"), 30)
        status = thing["status"]
        self.stage.check("it is told as Queued, and its clock stands still", not self.pods() and status["activeSeconds"] == 0 and "activeSince" not in status, status)

    def admit(self):
        self.change({"suspend": False, "template": {"spec": {"nodeSelector": FLAVOR}}})
        self.watch.until("work", lambda: self.runs() and self.done() > 0, 120)
        placed = [pod for pod in self.runs().values() if FLAVOR.items() <= pod["spec"].get("nodeSelector", {}).items()]
        self.stage.check("admitted with a node selector, it runs there", placed and reason(self.now()) == "Running", self.status())

    def evict(self):
        began = len(self.watch.history("checkersuite", TEAM, NAME))
        self.change({"suspend": True})
        self.watch.until("Queued again", lambda: reason(self.now()) == "Queued" and not self.runs(), 90)
        status = self.status()
        told = [s for _, s in self.watch.history("checkersuite", TEAM, NAME)[began:]]
        failures = sum(tries.get("failures", 0) for tries in status.get("attempts", {}).values())
        self.stage.figures["evictedAfterCheckers"] = status["checkers"]
        self.stage.check("taken back, it is told as Queued", told and "activeSince" not in status and 0 < status["checkers"] < CHECKERS, status)
        self.stage.check("taken back, it has not failed", failures == 0 and not [s for s in told if reason(s) == "BackingOff"], status)

    def resume(self):
        self.change({"suspend": False})
        _, thing = self.watch.phase("checkersuite", TEAM, NAME, ENDED, 180)
        last = sorted(self.pods().values(), key=lambda pod: pod["metadata"]["creationTimestamp"])[-1]["metadata"]["name"]
        restored = re.search(r"restored what was kept.*files=(\d+)", self.cluster.kubectl("logs", last))
        self.stage.check("let start again, it goes on from what was kept", restored and int(restored[1]) > 0, restored)
        jobs = {job["metadata"]["name"] for _, job in self.watch.all("job", TEAM, of(NAME))}
        status = thing["status"]
        self.stage.check("let start again, it becomes Complete", status["phase"] == "Complete" and status["checkers"] == CHECKERS, status)
        self.stage.check("it was the same Job all the time", jobs == {JOB}, jobs)

    def steps(self):
        self.apply()
        self.queued()
        self.admit()
        self.evict()
        self.resume()

    def all(self):
        self.stage.step("a queue", self.steps)
