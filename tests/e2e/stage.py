"""What every end-to-end test stands on: images, a cluster, an S3 server, the charts, and the list of what was found."""

import json
import os
import pathlib
import secrets
import shutil
import subprocess
import sys
import time

from cluster import Cluster, Failed, sh

NODE = "192.0.2.10"
ENDED = ("Complete", "Failed")


class Stage:
    """A test of one cluster; a test fills in `all`."""

    def __init__(self, out, *namespaces):
        self.out = pathlib.Path(out)
        self.namespaces = namespaces
        self.cluster = Cluster(str(self.out / "cluster"), namespaces[0])
        self.checks, self.figures, self.seconds = {}, {}, {}
        self.canary = "canary-" + secrets.token_hex(16)
        self.began = time.monotonic()
        self.children = []

    def all(self):
        raise NotImplementedError

    # --- small things

    def say(self, text):
        print(f"{time.monotonic() - self.began:6.0f}s  {text}", flush=True)

    def check(self, name, holds, why=""):
        self.checks[name] = bool(holds)
        self.say(f"{'ok  ' if holds else 'FAIL'}  {name}{'' if holds else ': ' + str(why)}")

    def step(self, name, work):
        began = time.monotonic()
        self.say(name)
        try:
            work()
        finally:
            self.seconds[name] = round(time.monotonic() - began, 1)

    def inside(self, namespace):
        """The same cluster, in another namespace."""
        return Cluster(self.cluster.out, namespace)

    # --- before

    def fresh(self):
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.mkdir(parents=True)

    def images(self):
        sh("hack/images/build", timeout=1800)
        self.figures["imageBytes"] = json.loads(pathlib.Path("out/images/result.json").read_text())

    def up(self):
        began = time.monotonic()
        sh("hack/cluster/up", "--out", self.cluster.out, timeout=1800)
        self.figures["clusterUpSeconds"] = round(time.monotonic() - began, 1)
        self.load("out/images/operator.tar", "out/images/worker.tar")

    def load(self, *archives):
        sh("hack/cluster/load", "--out", self.cluster.out, *archives, timeout=900)

    def start(self, name, *command):
        """Starts a server in the cluster's network, for pods to reach at the node's address."""
        log = open(self.out / f"{name}.log", "w")
        process = subprocess.Popen(["hack/cluster/in", "--out", self.cluster.out, *command], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.children.append(process)
        return process

    def s3(self, up):
        env = dict(os.environ, S3_ACCESS_KEY="agoge", S3_SECRET_KEY=self.canary)
        what = ["hack/s3/up", "--out", str(self.out / "s3"), "--listen", f"{NODE}:7070"] if up else ["hack/s3/down", "--out", str(self.out / "s3")]
        subprocess.run(["hack/cluster/in", "--out", self.cluster.out, *what], check=True, env=env, capture_output=True, stdin=subprocess.DEVNULL)

    def helm(self, *more):
        return self.cluster.run("helm", *more, timeout=300)

    def values(self):
        workers = ",".join(self.namespaces)
        return ["--set", "image.operator.repository=localhost/agoge-operator", "--set", "image.operator.tag=dev",
                "--set", "image.worker.repository=localhost/agoge-worker", "--set", "image.worker.tag=dev",
                "--set", "store.url=s3://agoge/e2e", "--set", f"store.endpoint=http://{NODE}:7070", "--set", "store.region=us-east-1",
                "--set", "store.allowHttp=true", "--set", "store.secret=s3", "--set", f"networkPolicy.workers.namespaces={{{workers}}}"]

    def charts(self, folder="charts", *more):
        """The charts of this folder, with more flags than the usual values, and namespaces for runs."""
        for namespace in self.namespaces:
            self.cluster.run("kubectl", "create", "namespace", namespace)
            self.cluster.run("kubectl", "label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
        self.helm("install", "agoge-crds", f"{folder}/agoge-crds")
        self.helm("install", "agoge", f"{folder}/agoge", "--namespace", "agoge", "--create-namespace", "--wait", "--timeout", "3m", *self.values(), *more)

    def s3_secret(self, name="s3"):
        """The Secret with which pods reach the store."""
        keys = {"AWS_ACCESS_KEY_ID": "agoge", "AWS_SECRET_ACCESS_KEY": self.canary}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": keys}

    # --- after

    def end(self):
        for process in self.children:
            process.kill()
        subprocess.run(["hack/cluster/down", "--out", self.cluster.out], check=False)

    def keep_logs(self):
        folder = self.out / "logs"
        folder.mkdir(exist_ok=True)
        for namespace in ("agoge", *self.namespaces):
            there = self.inside(namespace)
            for pod in there.items("pods"):
                name = pod["metadata"]["name"]
                (folder / f"{namespace}-{name}.log").write_text(there.kubectl("logs", name, check=False))
            objects = there.kubectl("get", "synthesisjobs,checkersuites,grporuns,jobs,pods,events", "-o", "yaml", check=False)
            (folder / f"{namespace}.yaml").write_text(objects)

    def conduct(self, keep):
        """Does all of it, writes `result.json`, and ends the process: with 1 where a check does not hold."""
        error = None
        try:
            self.all()
        except (Failed, subprocess.SubprocessError, OSError, KeyError) as problem:
            error = f"{type(problem).__name__}: {problem}"
            self.say(error)
            self.check("every step came to its end", False, error)
        try:
            self.keep_logs()
        except Exception as problem:  # noqa: BLE001 - what is lost here are logs of a test that has its result
            self.say(f"logs were not kept: {problem}")
        if not keep:
            self.end()
        result = {"checks": self.checks, "figures": self.figures, "seconds": self.seconds, "total": round(time.monotonic() - self.began, 1), "error": error}
        (self.out / "result.json").write_text(json.dumps(result, indent=2) + "\n")
        print(f"{sum(self.checks.values())} passed, {sum(not c for c in self.checks.values())} failed")
        sys.exit(0 if all(self.checks.values()) and not error else 1)
