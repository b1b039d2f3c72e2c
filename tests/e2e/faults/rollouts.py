"""Rollout servers beside a trainer: one is lost in the middle of GRPO, another takes its place, and the trainer goes on."""

import datetime
import json
import re
import time

import lose
import objects
from objects import labels, of, state
from stage import ENDED

TEAM, NAME = "team", "apart"
SERVICE, PORT, SERVERS = f"{NAME}-rollout", 29500, 2
# Steps that the trainer makes before anything happens to it.
FIRST = 10
STEP = re.compile(r"^(\S+Z) .*: GRPO step=(\d+)", re.MULTILINE)


def ready(pod):
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", []))


def uid(pod):
    return pod["metadata"]["uid"]


def index_of(pod):
    return int(labels(pod)["batch.kubernetes.io/job-completion-index"])


class Rollouts:
    def __init__(self, stage):
        self.stage, self.watch, self.cluster = stage, stage.watch, stage.inside(TEAM)

    def apply(self):
        run = objects.run(NAME, {"name": "desk"}, topology={"mode": "disaggregated", "rollouts": SERVERS}, seed=3)
        # Time enough for two replacements on a busy machine.
        run["spec"]["stages"]["grpo"] |= {"wallClock": "100s", "checkpointEvery": 10}
        self.cluster.apply(run)

    # --- what there is

    def servers(self):
        """The servers that are ready now."""
        pods = self.watch.there("pod", TEAM, of(NAME, key="rollout"))
        return [pod for pod in pods.values() if ready(pod) and "deletionTimestamp" not in pod["metadata"]]

    def trainers(self):
        """Every state of every pod of GRPO's trainer."""
        return [pod for _, pod in self.watch.all("pod", TEAM, of(NAME, key="grpo"))]

    def log(self):
        return self.cluster.kubectl("logs", self.trainers()[-1]["metadata"]["name"], check=False) if self.trainers() else ""

    def steps(self):
        """The steps that the trainer has made, each with its moment."""
        return [(datetime.datetime.fromisoformat(at), int(step)) for at, step in STEP.findall(self.log())]

    def step(self):
        return max((step for _, step in self.steps()), default=0)

    def played(self, pod):
        """Episodes that a server has played, as it says itself."""
        said = self.cluster.run("curl", "-sf", "-m", "5", "--noproxy", "*", f"http://{pod['status']['podIP']}:{PORT}/healthz", check=False)
        return json.loads(said)["episodes"] if said.strip() else 0

    # --- what happens

    def together(self):
        self.apply()
        self.watch.until("two rollout servers", lambda: len(self.servers()) == SERVERS, 240)
        self.watch.until(f"{FIRST} steps of GRPO", lambda: self.step() >= FIRST, 120)
        servers, log = self.servers(), self.log()
        slices = self.cluster.items("endpointslices", "-l", f"kubernetes.io/service-name={SERVICE}")
        addresses = {address for s in slices for e in s.get("endpoints") or [] for address in e["addresses"]}
        named = addresses == {pod["status"]["podIP"] for pod in servers} and f"{SERVICE}:{PORT}" in log
        played = [self.played(pod) for pod in servers]
        self.stage.check("a trainer finds two rollout servers by the name of their Service, and both play", named and len(played) == SERVERS and all(played), (addresses, played, log[-500:]))

    def lose(self, index, how, by):
        """Loses a server, and waits until another plays in its place."""
        servers = self.servers()
        known = {uid(pod) for pod in servers}
        victim = next(pod for pod in servers if index_of(pod) == index)
        before, at, began = self.step(), datetime.datetime.now(datetime.timezone.utc), time.monotonic()
        by(self.cluster, victim)
        self.stage.say(f"{how}: pod {victim['metadata']['name']}, at step {before}")
        another = self.watch.until("another server", lambda: next((pod for pod in self.servers() if uid(pod) not in known), None), 90)
        first = lambda fits: self.watch.first("pod", TEAM, another["metadata"]["name"], fits)[0] - began
        then = self.step()
        self.watch.until("it to play", lambda: self.played(another), 60)
        plays = time.monotonic() - began
        moments = [moment for moment, _ in self.steps()]
        pause = lambda fits: round(max((b - a).total_seconds() for a, b in zip(moments, moments[1:]) if fits(b)), 2)
        figures = {
            "secondsUntilAnotherRuns": round(first(lambda pod: state(pod, "running")), 1), "secondsUntilAnotherIsReady": round(first(ready), 1),
            "secondsUntilAnotherPlays": round(plays, 1), "stepBefore": before, "stepWhenAnotherIsReady": then, "stepWhenAnotherPlays": self.step(),
            "longestPauseBetweenStepsBefore": pause(lambda b: b <= at), "longestPauseBetweenStepsAfter": pause(lambda b: b > at)}
        self.stage.figures[f"rollout server {how}"] = figures
        # One step may have been all but done.
        goes_on = index_of(another) == index and then > before + 1
        self.stage.check(f"when a rollout server is {how}, another takes its place and plays, and the trainer's step goes on meanwhile", goes_on, figures)

    def ended(self):
        """The trainer and what was counted, when all is over."""
        _, thing = self.watch.phase("grporun", TEAM, NAME, ENDED, 240)
        status, trainers = thing["status"], self.trainers()
        self.stage.check("the run with rollout servers becomes Complete", status["phase"] == "Complete", status)
        pods = {uid(pod) for pod in trainers}
        restarts = {c["restartCount"] for pod in trainers for c in pod["status"].get("containerStatuses", [])}
        code = (state(trainers[-1], "terminated") or {}).get("exitCode")
        self.stage.check("the trainer's pod was the same all the time", len(pods) == 1 and restarts == {0} and code == 0, (pods, restarts, code))
        tries = [s["status"]["attempts"] for _, s in self.watch.history("grporun", TEAM, NAME) if s and s.get("status", {}).get("attempts")]
        jobs = {job["metadata"]["name"] for _, job in self.watch.all("job", TEAM, of(NAME, key="rollout"))}
        self.stage.check("no attempt is counted", not tries and not status.get("restarts") and jobs == {SERVICE}, (tries, status, jobs))
        self.stage.figures["stepsWithRolloutServers"] = status["stages"]["grpo"]["steps"]

    def left(self):
        """Servers end with their stage."""
        over = next(at for at, pod in self.watch.all("pod", TEAM, of(NAME, key="grpo")) if state(pod, "terminated"))
        pods = of(NAME, key="rollout")
        self.watch.until("servers to be gone", lambda: not self.watch.there("pod", TEAM, pods), 90)
        names = {pod["metadata"]["name"] for _, pod in self.watch.all("pod", TEAM, pods)}
        gone = max(self.watch.history("pod", TEAM, name)[-1][0] for name in names)
        self.stage.figures["secondsFromTheTrainersEndUntilServersAreGone"] = round(gone - over, 1)
        there = [pod["metadata"]["name"] for pod in self.cluster.pods(owner=NAME, key="rollout")]
        self.stage.check("no rollout server is left", not there, there)

    def conduct(self):
        self.together()
        self.lose(0, "killed", lose.kill)
        self.lose(1, "deleted", lose.delete)
        self.ended()
        self.left()

    def all(self):
        self.stage.step("rollout servers", self.conduct)
