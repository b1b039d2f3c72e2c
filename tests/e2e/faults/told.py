"""Failures are told in a condition of the object, soon; and what is mended goes on by itself."""

import dataclasses
import functools
import time
from typing import Callable

import objects
from cluster import Failed
from objects import condition, config, of, reason, state
from stage import ENDED, NODE

TEAM, FULL = "team", "full"
CLOSED = f"http://{NODE}:9"
# A message of any failure must be there after this many seconds, also on a busy machine.
SOON = 10
ONCE = {"runPolicy": {"backoffLimit": 0}}
NO_DIGEST = "sha256:" + "0" * 64


@dataclasses.dataclass
class Fault:
    """What is wrong, and how it must be told."""

    name: str
    # The check's name.
    what: str
    documents: list
    # The condition that must tell it, and the reason that it must have.
    condition: str
    reason: str
    # The state of a pod, or of another object, from which the seconds count; by default the object itself is there.
    since: Callable = None
    of: str = "pod"
    # What the message must say; {pod} stands for the pod's name.
    says: tuple = ()
    kind: str = "synthesisjob"
    namespace: str = TEAM


def waits(*reasons):
    return lambda pod: (state(pod, "waiting") or {}).get("reason") in reasons


def ended(code):
    return lambda pod: (state(pod, "terminated") or {}).get("exitCode") == code


def unscheduled(pod):
    conditions = pod.get("status", {}).get("conditions", [])
    return any(c["type"] == "PodScheduled" and c["status"] == "False" for c in conditions)


def store(name, secret, endpoint=f"http://{NODE}:7070"):
    """A store beside the default one."""
    return config(name, "store", url="s3://agoge/e2e", endpoint=endpoint, region="us-east-1", allowHttp="true", secret=secret)


def faults(domain):
    """Every fault; `domain` is the folder of one that is sound."""
    synthesis, suite, run = objects.synthesis, objects.suite, objects.run
    tools = (domain / "tools.py").read_text()
    broken = objects.flat(domain, "broken", **{"tools.py": tools.replace('return "ok"', "return ok(", 1)})
    limits = {"worker": {"resources": {"memory": "32Mi"}}}
    absent = "localhost/absent:dev"
    nowhere = {"spec": {"containers": [{"name": "worker", "workingDir": "/dev/null/work"}]}}
    end = lambda name, what, documents, code, *says, **more: Fault(
        name, what, documents, "Failed", more.pop("reason", "BackoffLimitExceeded"), ended(code), says=("pod {pod}", f"exit code {code}", *says), **more)
    return [
        Fault("image", "an image that does not exist", [synthesis("image", worker={"image": absent})],
              "Progressing", "ImagePullBackOff", waits("ImagePullBackOff"), says=("pod {pod}", absent)),
        Fault("nowhere", "a node that does not exist", [synthesis("nowhere", worker={"nodeSelector": {"disk": "golden"}})],
              "Progressing", "Unschedulable", unscheduled, says=("pod {pod}", "node")),
        Fault("secret", "a missing Secret", [store("locked", "later"), synthesis("secret", store="locked")],
              "Progressing", "CreateContainerConfigError", waits("CreateContainerConfigError"), says=("pod {pod}", "later")),
        Fault("domain", "a missing domain", [synthesis("domain", domain="later")],
              "Progressing", "DomainNotFound", says=("later",)),
        Fault("quota", "a quota that is used up", [synthesis("quota")], "Progressing", "QuotaExceeded",
              lambda event: event["reason"] == "FailedCreate", of="event", says=("exceeded quota: none",), namespace=FULL),
        Fault("no-suite", "a missing suite", [run("no-suite", {"name": "later"})],
              "Accepted", "CheckerSuiteNotFound", says=("later",), kind="grporun"),
        Fault("pinned", "a suite that came to another digest", [suite("pinned", "desk", digest=NO_DIGEST)],
              "Failed", "DigestChanged", ended(0), says=(NO_DIGEST,), kind="checkersuite"),
        Fault("pins", "a run of a suite with another digest", [run("pins", {"name": "desk", "digest": NO_DIGEST})],
              "Failed", "DigestChanged", lambda suite: suite.get("status", {}).get("phase") == "Complete", of="checkersuite", says=(NO_DIGEST,), kind="grporun"),
        end("memory", "too little memory", [synthesis("memory", **limits, **ONCE)], 137, "OOMKilled"),
        end("stranger", "an image that is no worker", [synthesis("stranger", worker={"image": "localhost/coredns:dev"}, **ONCE)], 1, "Crashed", "extra command line arguments"),
        end("format", "a program of another machine", [synthesis("format", worker={"image": "localhost/broken:dev"}, **ONCE)], 1, "Crashed", "exec format error"),
        end("start", "a container that cannot start", [synthesis("start", worker={"overlay": nowhere}, **ONCE)], 128, "StartError", "/dev/null"),
        end("input", "a domain whose tools are no Python", [broken, synthesis("input", domain="broken")], 2, "tools.py:", "not Python", reason="BadInput"),
        end("endpoint", "an endpoint that refuses", [config("closed", "endpoint", url=CLOSED), objects.sea("endpoint", "closed", runPolicy={"backoffLimit": 1})], 3, "EndpointDown", CLOSED),
        end("store", "a store that does not answer", [store("dead", "s3", CLOSED), synthesis("store", store="dead", **ONCE)], 3, "StoreUnreachable", "s3://agoge/e2e"),
    ]


class Told:
    """The part of the test; `stage` has cluster, watch and checks."""

    def __init__(self, stage):
        self.stage, self.watch = stage, stage.watch
        self.faults = faults(stage.domain)
        self.seconds = stage.figures.setdefault("secondsUntilTold", {})

    def apply(self):
        quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
        self.stage.inside(FULL).apply(quota)
        for namespace in (TEAM, FULL):
            documents = [d for fault in self.faults if fault.namespace == namespace for d in fault.documents]
            self.stage.inside(namespace).apply(*documents)

    def check(self):
        for fault in self.faults:
            try:
                self.one(fault)
            except Failed as late:
                self.stage.check(f"told: {fault.what}", False, late)
        slow = {name: seconds for name, seconds in self.seconds.items() if seconds > SOON}
        self.stage.check(f"every failure is told within {SOON} s", self.seconds and not slow, slow)

    def one(self, fault):
        fits = lambda thing: reason(thing, fault.condition) == fault.reason
        look = lambda: self.watch.first(fault.kind, fault.namespace, fault.name, fits)
        known = lambda: (self.watch.now(fault.kind, fault.namespace, fault.name) or {}).get("status")
        try:
            at, thing = self.watch.until(f"{fault.condition} {fault.reason}", look, 150)
        except Failed as late:
            raise Failed(f"{late}: {known()}") from None
        began, cause = self.cause(fault, at)
        self.seconds[fault.name] = round(max(at - began, 0), 2)
        message = condition(thing, fault.condition).get("message", "")
        pod = cause["metadata"]["name"]
        missing = [text for text in (say.format(pod=pod) for say in fault.says) if text not in message]
        self.stage.check(f"told: {fault.what}", not missing, f"{missing} is not in: {message}")

    def cause(self, fault, told):
        """The last state before it was told from which its seconds count."""
        if fault.since is None:
            return self.watch.history(fault.kind, fault.namespace, fault.name)[0]
        fits = {
            "pod": of(fault.name),
            "event": lambda event: event["involvedObject"]["name"].startswith(f"{fault.name}-"),
            "checkersuite": lambda suite: suite["metadata"]["name"] == "desk",
        }[fault.of]
        states = self.watch.all(fault.of, fault.namespace, lambda thing: fits(thing) and fault.since(thing))
        # What failed twice is told of the second pod; the first of its states counts.
        before = [(at, thing) for at, thing in states if at <= told + 0.5]
        if not before:
            raise Failed(f"{fault.name}: it was told, and no {fault.of} says why")
        last = before[-1][1]["metadata"]["name"]
        return next((at, thing) for at, thing in before if thing["metadata"]["name"] == last)

    # --- beyond the condition itself

    def input_at_once(self):
        """What trying again does not mend is not tried again."""
        jobs = {job["metadata"]["name"] for _, job in self.watch.all("job", TEAM, of("input"))}
        pauses = [s for _, s in self.watch.history("synthesisjob", TEAM, "input") if s and reason(s) == "BackingOff"]
        self.stage.check("bad input is not tried again", len(jobs) == 1 and not pauses, (jobs, len(pauses)))

    def pause(self):
        """Between two attempts the condition says of which pod it speaks."""
        states = [s for _, s in self.watch.history("synthesisjob", TEAM, "endpoint") if s and reason(s) == "BackingOff"]
        message = condition(states[0], "Progressing")["message"] if states else "it never was BackingOff"
        wanted = ("EndpointDown", "pod endpoint-synthesize-sea-0-", "exit code 3", CLOSED)
        missing = [text for text in wanted if text not in message]
        self.stage.check("a pause says what failed, with pod, exit code and last words", not missing, f"{missing} is not in: {message}")

    # --- mending

    def mend(self):
        """What was missing is made; the object goes on by itself."""
        cluster, full = self.stage.inside(TEAM), self.stage.inside(FULL)
        raised = '{"spec": {"hard": {"pods": "10"}}}'
        mends = {
            "secret": lambda: cluster.apply(self.stage.s3_secret("later")),
            "domain": lambda: cluster.apply(objects.packed(self.stage.domain, "later")),
            "no-suite": lambda: cluster.apply(objects.suite("later", "desk")),
            "quota": lambda: full.kubectl("patch", "resourcequota", "none", "--type=merge", "-p", raised),
        }
        began = {}
        for name, mend in mends.items():
            mend()
            began[name] = time.monotonic()
        trains = lambda thing: reason(thing) == "Running" and thing["status"].get("stage") == "agentSFT"
        look = lambda: self.watch.first("grporun", TEAM, "no-suite", trains)
        self.goes_on("no-suite", began["no-suite"], lambda: self.watch.until("the run to train", look, 150))
        cluster.kubectl("delete", "grporun", "no-suite", "--wait=false")
        for name in ("secret", "domain", "quota"):
            namespace = FULL if name == "quota" else TEAM
            self.goes_on(name, began[name], functools.partial(self.watch.phase, "synthesisjob", namespace, name, ENDED, 150))

    def goes_on(self, name, began, wait):
        what = next(fault.what for fault in self.faults if fault.name == name)
        try:
            at, thing = wait()
        except Failed as late:
            self.stage.check(f"mended: {what}", False, late)
            return
        self.stage.figures.setdefault("secondsFromMendToGoal", {})[name] = round(at - began, 1)
        self.stage.check(f"mended: {what}", thing["status"]["phase"] != "Failed", thing["status"].get("conditions"))

    def all(self):
        self.stage.step("faults applied", self.apply)
        self.stage.step("faults told", self.check)
        self.input_at_once()
        self.pause()
        self.stage.step("faults mended", self.mend)
