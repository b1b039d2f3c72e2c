"""The test's hands: commands in the cluster, waiting, and what is kept of both."""

import json
import subprocess
import time


class Failed(Exception):
    """A step that did not do what it must."""


def sh(*command, inside=None, check=True, text=None, timeout=600):
    """Runs a command, in a cluster's namespaces where `inside` names its folder; gives stdout."""
    if inside:
        command = ["hack/cluster/in", "--out", inside, *command]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=timeout)
    if check and done.returncode != 0:
        raise Failed(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.strip()[-2000:]}{done.stdout.strip()[-500:]}")
    return done.stdout


class Cluster:
    """kubectl and helm in one cluster."""

    def __init__(self, out, namespace):
        self.out, self.namespace = out, namespace

    def run(self, *command, **more):
        return sh(*command, inside=self.out, **more)

    def kubectl(self, *command, **more):
        return self.run("kubectl", "-n", self.namespace, *command, **more)

    def get(self, *what):
        """An object or a list as JSON; None when it is not there."""
        text = self.kubectl("get", *what, "-o", "json", check=False)
        return json.loads(text) if text.strip() else None

    def items(self, *what):
        return (self.get(*what) or {"items": []})["items"]

    def apply(self, *documents):
        text = "\n---\n".join(d if isinstance(d, str) else json.dumps(d) for d in documents)
        return self.kubectl("apply", "--server-side", "-f", "-", text=text)

    def status(self, kind, name="courier"):
        return (self.get(kind, name) or {}).get("status", {})

    def pods(self, **labels):
        selector = ",".join(f"agoge.dev/{key}={value}" for key, value in labels.items())
        pods = self.items("pods", "-l", selector)
        return [p for p in pods if p["status"].get("phase") == "Running" and "deletionTimestamp" not in p["metadata"]]


def wait(what, look, seconds=300, every=0.5):
    """Waits until `look` gives something; fails with what it waited for."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(every)
    raise Failed(f"waited {seconds} s for {what}")
