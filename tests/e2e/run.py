"""The main job on a real Kubernetes, with the disturbances of a long life; and the same job by `agoge up`, which must agree.

Images are built and loaded, the charts installed with helm, the courier example applied. On the way a shard's pod, the
trainer, the operator's leader and the S3 server are killed; the run is suspended and resumed; the chart is upgraded. At the
end the dataset's digest and every stage's record (the loss trace is part of it) are those of `agoge up` of the same files;
a secret that was planted is found nowhere; and after the uninstallation nothing is left.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(__file__))
from cluster import Failed, sh, wait  # noqa: E402
from stage import ENDED, NODE, Stage  # noqa: E402

NAMESPACE = "team"


class Run(Stage):
    def __init__(self, real):
        super().__init__("out/e2e-real" if real else "out/e2e", NAMESPACE)
        self.real = real

    # --- before

    def prepare(self):
        self.fresh()
        self.images()
        self.up()

    def manifests(self):
        text = sh("kubectl", "kustomize", "--load-restrictor", "LoadRestrictionsNone", "tests/e2e/manifests")
        folder = self.out / "manifests"
        folder.mkdir()
        (folder / "courier.yaml").write_text(text)
        (folder / "domain").symlink_to(pathlib.Path("examples/courier/domain").resolve())
        return folder

    def servers(self):
        self.s3(True)
        if self.real:
            self.endpoint = os.environ.get("AGOGE_ENDPOINT")
            if not self.endpoint:
                self.endpoint = f"http://{NODE}:8177"
                self.start("endpoint", "env", f"AGOGE_ENDPOINT_HOST={NODE}", "hack/endpoint", "serve")
        else:
            self.endpoint = f"http://{NODE}:8177"
            self.start("replay", "target/release/agoge-worker", "replay", "--recordings", "examples/courier/recordings", "--listen", f"{NODE}:8177",
                       # Recorded answers come so fast that a whole job would fit between two statuses.
                       "--wait", "0.7")
        wait("the model's endpoint", lambda: self.cluster.run("curl", "-s", "-m", "2", "-o", "/dev/null", "-w", "%{http_code}", f"{self.endpoint}/health", check=False) not in ("", "000"), 180)

    def install(self):
        self.charts()
        domain = sh("target/release/agoge", "domain", "pack", "examples/courier/domain", "--name", "courier")
        endpoint = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "qwen", "labels": {"agoge.dev/resolves": "endpoint"}}, "data": {"url": self.endpoint}}
        self.cluster.apply(domain, self.s3_secret(), endpoint)
        self.cluster.kubectl("apply", "-f", str(self.manifests_folder / "courier.yaml"))

    # --- on the way

    def running(self, seconds=300, **labels):
        return wait(f"a running pod of {labels}", lambda: self.cluster.pods(owner="courier", **labels), seconds)[0]["metadata"]["name"]

    def kill(self, name, pod):
        self.cluster.kubectl("delete", "pod", pod, "--grace-period=0", "--force")
        self.say(f"killed {name}: pod {pod}")

    def leader(self):
        found = wait("a leader", lambda: self.inside("agoge").items("pods", "-l", "agoge.dev/leader=true"), 60)
        return found[0]["metadata"]["name"]

    def lease_holder(self):
        lease = self.inside("agoge").get("lease", "agoge-operator") or {}
        return lease.get("spec", {}).get("holderIdentity")

    def synthesis(self):
        pod = self.running(key="synthesize-sea")
        if self.real:
            # Not before the model has been asked: what it answered must outlive the shard.
            wait("an attempt of sea", lambda: self.cluster.status("synthesisjob").get("strategies", {}).get("sea", {}).get("attempted"), 900)
        self.kill("a shard", pod)
        running = []
        wait("the SynthesisJob's end", lambda: self.watch_lineage(running), 3600 if self.real else 600)
        status = self.cluster.status("synthesisjob")
        self.figures["lineageWhileRunning"] = running
        told = lambda entry: entry["plan"] and any(g["digest"] and g["yield"] and g["outcome"] for g in entry["generations"])
        self.check("generation, plan, yield and decision are status while the job runs", any(told(entry) for entry in running), running)
        self.check("synthesis is Complete though a shard was killed", status["phase"] == "Complete", status.get("conditions"))
        self.check("generations are status", len(status.get("lineage", [])) >= 1, status.get("lineage"))
        self.figures["synthesis"] = {k: status.get(k) for k in ("accepted", "attempted", "valid", "generation", "yield")}

    def watch_lineage(self, running):
        """Notes each state of the lineage while the job runs. Returns whether it has ended."""
        status = self.cluster.status("synthesisjob")
        generations = [{key: g.get(key) for key in ("generation", "digest", "yield", "outcome")} for g in status.get("lineage", [])]
        entry = {"generation": status.get("generation"), "plan": status.get("plan"), "generations": generations}
        if status.get("phase") == "Running" and (not running or running[-1] != entry):
            running.append(entry)
        return status.get("phase") in ENDED

    def qualification(self):
        wait("the CheckerSuite's end", lambda: self.cluster.status("checkersuite").get("phase") in ENDED, 600)
        status = self.cluster.status("checkersuite")
        self.check("the suite is Complete", status["phase"] == "Complete", status.get("conditions"))

    def training(self):
        # The operator's leader is killed while the user model learns.
        self.running(key="user-sft")
        old = self.leader()
        holder = self.lease_holder()
        began = time.monotonic()
        self.inside("agoge").kubectl("delete", "pod", old, "--grace-period=0", "--force")
        wait("another leader", lambda: self.lease_holder() not in (holder, "", None), 60, 0.2)
        self.figures["failOverSeconds"] = round(time.monotonic() - began, 1)
        self.check("another replica leads within 20 s", self.figures["failOverSeconds"] < 20, self.figures["failOverSeconds"])
        # The chart is upgraded while a stage runs: another pod template of the operator, and other defaults for workers.
        pod = wait("a trainer", lambda: self.cluster.pods(owner="courier", component="train") or self.train_pods(), 300)[0]
        uid = pod["metadata"]["uid"]
        self.helm("upgrade", "agoge", "charts/agoge", "--namespace", "agoge", "--wait", "--timeout", "3m", *self.values(),
                  "--set", "podAnnotations.upgraded=yes", "--set", "image.worker.pullPolicy=Never")
        same = any(p["metadata"]["uid"] == uid for p in self.cluster.items("pods"))
        self.check("an upgrade disturbs no running work", same, "the trainer's pod was replaced")
        # The trainer is killed in GRPO.
        pod = self.running(key="grpo", seconds=900)
        wait("a GRPO step", lambda: self.cluster.status("grporun").get("stage") == "grpo" and (self.cluster.status("grporun").get("step") or 0) >= 1, 300)
        self.check("progress reaches the status", True)
        self.kill("the trainer", pod)
        wait("another attempt", lambda: self.cluster.pods(owner="courier", key="grpo"), 120)
        # The S3 server goes and comes back.
        self.s3(False)
        self.say("killed the S3 server")
        time.sleep(8)
        self.s3(True)
        self.suspend()
        wait("the run's end", lambda: self.cluster.status("grporun").get("phase") in ENDED, 1200)
        status = self.cluster.status("grporun")
        self.check("the run is Complete", status["phase"] == "Complete", status.get("conditions"))
        self.figures["arms"] = status.get("arms")
        self.figures["restarts"] = status.get("restarts")

    def train_pods(self):
        pods = self.cluster.items("pods", "-l", "app.kubernetes.io/component=train")
        return [p for p in pods if p["status"].get("phase") == "Running"]

    def suspend(self):
        patch = lambda on: self.cluster.kubectl("patch", "grporun", "courier", "--type=merge", "-p", json.dumps({"spec": {"runPolicy": {"suspend": on}}}))
        if self.cluster.status("grporun").get("phase") in ENDED:
            self.check("a run is suspended and resumed", False, "it had ended before")
            return
        patch(True)
        wait("Suspended", lambda: self.cluster.status("grporun").get("phase") == "Suspended", 120)
        active = self.cluster.status("grporun").get("activeSeconds")
        pods = self.train_pods()
        time.sleep(3)
        still = self.cluster.status("grporun").get("activeSeconds")
        self.check("a suspended run has no pods and its clock stands still", not pods and active == still, (pods, active, still))
        patch(False)
        self.check("a run is suspended and resumed", True)

    # --- after

    def laptop(self):
        """The same files by `agoge up`, on this machine."""
        out = self.out / "laptop"
        command = ["target/release/agoge", "up", "-f", str(self.manifests_folder / "courier.yaml"), "--out", str(out), "--replay", "examples/courier/recordings"]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise Failed(f"agoge up: exit {done.returncode}: {done.stderr[-1500:]}")
        local = {p.name.split("-")[0]: json.loads(p.read_text())["status"] for p in (out / "objects").glob("*.json")}
        self.compare("the dataset's digest is the laptop's", local["synthesisjob"].get("digest"), self.cluster.status("synthesisjob").get("digest"))
        self.compare("the suite's digest is the laptop's", local["checkersuite"].get("digest"), self.cluster.status("checkersuite").get("digest"))
        stages = lambda status: {name: stage.get("digest") for name, stage in status.get("stages", {}).items()}
        self.compare("every stage's record and loss trace is the laptop's", stages(local["grporun"]), stages(self.cluster.status("grporun")))

    def compare(self, name, ours, theirs):
        self.figures[name] = {"laptop": ours, "cluster": theirs}
        self.check(name, ours and ours == theirs, (ours, theirs))

    def results(self):
        """The trained policy lies in S3, and the page is made from the store."""
        env = ["env", "AWS_ACCESS_KEY_ID=agoge", f"AWS_SECRET_ACCESS_KEY={self.canary}", f"AWS_ENDPOINT=http://{NODE}:7070", "AWS_ALLOW_HTTP=true", "AWS_REGION=us-east-1"]
        policy = self.cluster.status("grporun").get("digest")
        digest = (policy or "").removeprefix("sha256:")
        file = self.out / "s3/data/agoge/e2e/objects" / digest[:2] / digest[2:]
        self.check("the trained policy is in S3", policy and file.exists(), file)
        page = self.out / "report.html"
        made = self.cluster.run(*env, "target/release/agoge", "kubectl", "-n", NAMESPACE, "report", "grporun/courier", "--store", "s3://agoge/e2e", "--output", str(page), check=False)
        self.check("the report is made from the store", page.exists() and page.stat().st_size > 10_000, made)

    def security(self):
        may = lambda namespace, account: self.cluster.kubectl(
            "auth", "can-i", "--list", f"--as=system:serviceaccount:{namespace}:{account}",
            "--as-group=system:serviceaccounts", "--as-group=system:authenticated")
        own, anyone = may(NAMESPACE, "default"), may("nowhere", "stranger")
        self.check("a worker may do nothing that not every account may", own == anyone, own)
        everything = [self.cluster.run("kubectl", "get", "synthesisjobs,checkersuites,grporuns,events,configmaps,jobs,pods,leases", "-A", "-o", "yaml")]
        for item in json.loads(self.cluster.run("kubectl", "get", "pods", "-A", "-o", "json"))["items"]:
            meta = item["metadata"]
            everything.append(self.cluster.run("kubectl", "-n", meta["namespace"], "logs", meta["name"], "--all-containers", "--prefix", check=False))
        found = sum(self.canary in text for text in everything)
        store = subprocess.run(["grep", "-rqF", self.canary, str(self.out / "s3/data")], check=False).returncode == 0
        self.check("a planted secret is in no log, event, status or artifact", not found and not store, (found, store))

    def quiet(self):
        """Nothing is written when nothing changes, also after a restart of the operator."""
        versions = lambda: {(o["kind"], o["metadata"]["name"]): o["metadata"]["resourceVersion"] for o in self.cluster.items("synthesisjobs,checkersuites,grporuns,jobs")}
        before = versions()
        self.inside("agoge").kubectl("rollout", "restart", "deployment")
        self.inside("agoge").kubectl("rollout", "status", "deployment", "--timeout=120s")
        time.sleep(3)
        self.check("a restart of the operator writes nothing", before == versions(), "objects were written")

    def remove(self):
        self.cluster.kubectl("delete", "grporun,checkersuite,synthesisjob", "--all", "--wait", "--timeout=120s")
        wait("children to go", lambda: not self.cluster.items("jobs,pods,services", "-l", "app.kubernetes.io/managed-by=agoge-operator"), 120)
        left = self.cluster.items("jobs,pods,services,configmaps", "-l", "app.kubernetes.io/managed-by=agoge-operator")
        self.check("deletion leaves nothing behind", not left, [o["metadata"]["name"] for o in left])
        self.helm("uninstall", "agoge", "--namespace", "agoge", "--wait")
        left = [o["metadata"]["name"] for o in self.inside("agoge").items("deployments,services,roles,poddisruptionbudgets,networkpolicies")]
        roles = self.cluster.run("kubectl", "get", "clusterroles,clusterrolebindings,validatingadmissionpolicies", "-o", "name")
        crds = self.cluster.run("kubectl", "get", "crds", "-o", "name")
        self.check("uninstallation leaves nothing but the CRDs", not left and "agoge" not in roles and "synthesisjobs.agoge.dev" in crds, (left, roles))

    def all(self):
        self.step("images and cluster", self.prepare)
        self.manifests_folder = self.manifests()
        self.step("servers", self.servers)
        self.step("charts and manifests", self.install)
        self.step("synthesis", self.synthesis)
        self.step("qualification", self.qualification)
        self.step("training", self.training)
        self.step("results", self.results)
        self.step("a restart", self.quiet)
        self.step("security", self.security)
        if not self.real:
            self.step("the same on a laptop", self.laptop)
        self.step("removal", self.remove)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", action="store_true", help="with the real language model")
    parser.add_argument("--keep", action="store_true", help="leave the cluster up")
    asked = parser.parse_args()
    Run(asked.real).conduct(asked.keep)


if __name__ == "__main__":
    main()
