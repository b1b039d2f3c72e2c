"""The operator and the charts of an older version are replaced by this one while a trainer works: it is not disturbed.

The older version is built from its own sources (`older`). Its pod template differs from this one's: what it made goes on as
it was made, and what begins afterwards has the new template.
"""

import argparse
import pathlib
import re
import sys
import time

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "faults"), str(HERE.parent)]
import objects  # noqa: E402
from cluster import wait  # noqa: E402
from stage import ENDED, Stage  # noqa: E402

TEAM, RUN, OLD = "team", "kept", "older"
STEP = re.compile(r": GRPO step=(\d+)")


class Upgrade(Stage):
    def __init__(self, older):
        super().__init__("out/e2e-upgrade", TEAM)
        self.older = pathlib.Path(older)

    # --- the older version

    def prepare(self):
        self.fresh()
        self.images()
        self.up()
        # The archives of both versions have the same names in them.
        self.load(str(self.older / "operator.tar"), str(self.older / "worker.tar"))
        for name in ("operator", "worker"):
            self.ctr("tag", "--force", f"localhost/agoge-{name}:dev", f"localhost/agoge-{name}:{OLD}")
        self.load("out/images/operator.tar", "out/images/worker.tar")

    def ctr(self, *command):
        self.cluster.run("ctr", "-n", "k8s.io", "images", *command)

    def install(self):
        self.s3(True)
        tags = [part for name in ("operator", "worker") for part in ("--set", f"image.{name}.tag={OLD}")]
        self.charts(self.older / "charts", *tags)
        run = objects.run(RUN, {"name": "desk"}, seed=5)
        run["spec"]["stages"]["grpo"] |= {"wallClock": "75s", "checkpointEvery": 10}
        domain = objects.packed(objects.desk(self.out / "desk"))
        self.cluster.apply(domain, self.s3_secret(), objects.synthesis("desk", 240), objects.suite("desk", "desk"), run)

    # --- what is looked at

    def trainer(self):
        """GRPO's pod."""
        pods = self.cluster.items("pods", "-l", f"agoge.dev/owner={RUN},agoge.dev/key=grpo")
        return pods[0] if pods else None

    def steps(self):
        pod = self.trainer()
        log = self.cluster.kubectl("logs", pod["metadata"]["name"], check=False) if pod else ""
        return max((int(step) for step in STEP.findall(log)), default=0)

    def job(self):
        return self.cluster.get("job", self.trainer()["metadata"]["labels"]["batch.kubernetes.io/job-name"])

    def versions(self):
        """What the operator's replicas say of themselves."""
        found = set()
        for pod in self.inside("agoge").items("pods"):
            log = self.inside("agoge").kubectl("logs", pod["metadata"]["name"], check=False)
            found |= set(re.findall(r'"version":"(\d+\.\d+\.\d+)"', log))
        return found

    def template(self, key):
        """The template of a stage's Job, without what is the stage's own."""
        jobs = self.cluster.items("jobs", "-l", f"agoge.dev/owner={RUN},agoge.dev/key={key}")
        pod = jobs[0]["spec"]["template"]
        return {"annotations": sorted(pod["metadata"].get("annotations", {})), "volumes": pod["spec"]["volumes"][0], "image": pod["spec"]["containers"][0]["image"]}

    # --- what happens

    def replace(self):
        wait("five steps of GRPO", lambda: self.steps() >= 5, 240)
        before, job, old = self.trainer(), self.job(), self.versions()
        at, began = self.steps(), time.monotonic()
        self.helm("upgrade", "agoge-crds", "charts/agoge-crds")
        self.helm("upgrade", "agoge", "charts/agoge", "--namespace", "agoge", "--wait", "--timeout", "3m", *self.values(), "--set", "podAnnotations.upgraded=yes")
        seconds = round(time.monotonic() - began, 1)
        wait("old replicas to go", lambda: all(p["metadata"].get("annotations", {}).get("upgraded") for p in self.inside("agoge").items("pods")), 60)
        wait("a leader", lambda: self.inside("agoge").items("pods", "-l", "agoge.dev/leader=true"), 60)
        new = self.versions()
        self.check("the operator is of another version", old and new and not old & new, (old, new))
        wait("the trainer to go on", lambda: self.steps() > at, 60)
        after, then = self.trainer(), self.job()
        restarts = [c["restartCount"] for c in after["status"]["containerStatuses"]]
        same = after["metadata"]["uid"] == before["metadata"]["uid"] and restarts == [0]
        self.check("the trainer's pod is the same and was not restarted", same, (after["metadata"], restarts))
        self.check("its Job is the same, unchanged", then["metadata"]["uid"] == job["metadata"]["uid"] and then["spec"] == job["spec"], then["spec"])
        self.figures["upgrade"] = {"from": sorted(old), "to": sorted(new), "seconds": seconds, "stepBefore": at, "stepAfter": self.steps()}

    def finish(self):
        wait("the run's end", lambda: self.cluster.status("grporun", RUN).get("phase") in ENDED, 300)
        status = self.cluster.status("grporun", RUN)
        self.check("the run becomes Complete", status["phase"] == "Complete", status.get("conditions"))
        self.check("no attempt is counted", not status.get("restarts") and not status.get("attempts"), status.get("attempts"))
        templates = {key: self.template(key) for key in ("grpo", "evaluate")}
        self.figures["templates"] = templates
        self.check("what began before has the old template, what began after the new one", templates["grpo"] != templates["evaluate"] and templates["grpo"]["image"] != templates["evaluate"]["image"], templates)
        self.cluster.apply(objects.synthesis("after"))
        wait("a job of the new version", lambda: self.cluster.status("synthesisjob", "after").get("phase") in ENDED, 120)
        self.check("a job that is made afterwards becomes Complete", self.cluster.status("synthesisjob", "after")["phase"] == "Complete")

    def removal(self):
        self.cluster.kubectl("delete", "grporun,checkersuite,synthesisjob", "--all", "--wait", "--timeout=120s")
        left = lambda: self.cluster.items("jobs,pods,services,configmaps", "-l", "app.kubernetes.io/managed-by=agoge-operator")
        wait("children of both versions to go", lambda: not left(), 120)
        self.check("deletion leaves nothing of either version", not left(), left())

    def all(self):
        self.step("images of both versions, cluster", self.prepare)
        self.step("the older version", self.install)
        self.step("the upgrade", self.replace)
        self.step("the run's end", self.finish)
        self.step("removal", self.removal)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--older", required=True, help="folder with charts and images of the older version")
    parser.add_argument("--keep", action="store_true", help="leave the cluster up")
    asked = parser.parse_args()
    Upgrade(asked.older).conduct(asked.keep)


if __name__ == "__main__":
    main()
