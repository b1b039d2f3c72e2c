"""The chart's NetworkPolicies, enforced by an agent that many clusters run (kube-router's network policy controller).

Pods with the labels of workers, trainers, rollout servers and of a stranger try to reach each other, the operator, DNS, a
store and the address where clouds hand out credentials: first without an agent, when everything must be reached, else the
test could not fail; then with one; then with the way out narrowed to the store. A run goes through under the narrow policy.
"""

import argparse
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "faults"), str(HERE.parent)]
import objects  # noqa: E402
from cluster import wait  # noqa: E402
from stage import ENDED, NODE, Stage  # noqa: E402

TEAM, CREDENTIALS = "team", "169.254.169.254"
ROLES = {"stranger": None, "worker": "synthesize", "trainer": "train", "peer": "train", "server": "rollout"}
CONNECT = "import socket,sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3])).close()"
# Who reaches what under the chart's policies: from, to, port, with the default way out, with a narrow one.
MATRIX = [
    ("trainer", "server", 29500, True, True),
    ("worker", "server", 29500, False, False),
    ("stranger", "server", 29500, False, False),
    ("trainer", "server", 29501, False, False),
    ("trainer", "peer", 29400, True, True),
    ("trainer", "peer", 41000, True, True),
    ("worker", "peer", 29400, False, False),
    ("stranger", "peer", 29400, False, False),
    ("worker", "operator", 9443, True, True),
    ("stranger", "operator", 9443, False, False),
    ("worker", "dns", 53, True, True),
    ("worker", "node", 7070, True, True),
    ("worker", "node", 7071, True, False),
    ("worker", "credentials", 80, False, False),
    ("trainer", "credentials", 80, False, False),
    ("stranger", "credentials", 80, True, True),
]
SERVED = {"server": (29500, 29501), "peer": (29400, 41000)}


class Policies(Stage):
    def __init__(self):
        super().__init__("out/e2e-netpol", TEAM)
        self.pids, self.addresses = {}, {}

    def prepare(self):
        self.fresh()
        self.images()
        self.up()
        self.s3(True)
        self.charts()
        domain = objects.packed(objects.desk(self.out / "desk"))
        self.cluster.apply(domain, self.s3_secret())

    # --- pods of every role

    def pod(self, name, component):
        labels = {"app.kubernetes.io/managed-by": "agoge-operator", "app.kubernetes.io/component": component} if component else {}
        security = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
        container = {"name": "pause", "image": "localhost/pause:dev", "imagePullPolicy": "Never",
                     "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}
        spec = {"containers": [container], "securityContext": security, "terminationGracePeriodSeconds": 0}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}

    def people(self):
        self.cluster.apply(*(self.pod(name, component) for name, component in ROLES.items()))
        for name in ROLES:
            pod = wait(f"pod {name}", lambda name=name: self.ready(name), 60)
            self.addresses[name] = pod["status"]["podIP"]
            container = pod["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")
            tasks = self.cluster.run("ctr", "-n", "k8s.io", "tasks", "ls")
            self.pids[name] = next(line.split()[1] for line in tasks.splitlines() if line.startswith(container))
        operator = wait("the leader", lambda: self.inside("agoge").items("pods", "-l", "agoge.dev/leader=true"), 60)[0]
        dns = self.inside("kube-system").get("service", "kube-dns")
        self.addresses |= {"operator": operator["status"]["podIP"], "dns": dns["spec"]["clusterIP"], "node": NODE, "credentials": CREDENTIALS}

    def ready(self, name):
        pod = self.cluster.get("pod", name)
        return pod if pod and pod["status"].get("phase") == "Running" and pod["status"].get("podIP") else None

    def within(self, name):
        return ["nsenter", f"--net=/proc/{self.pids[name]}/ns/net"]

    def servers(self):
        """Somebody listens wherever somebody is to be reached."""
        serve = lambda port, bind="0.0.0.0": ["python3", "-m", "http.server", str(port), "--bind", bind, "--directory", "/usr/share/misc"]
        for name, ports in SERVED.items():
            for port in ports:
                self.start(f"{name}-{port}", *self.within(name), *serve(port))
        self.start("node-7071", *serve(7071, NODE))
        self.cluster.run("ip", "addr", "add", f"{CREDENTIALS}/32", "dev", "node0")
        self.start("credentials", *serve(80, CREDENTIALS))

    def reaches(self, a, b, port, seconds="2"):
        done = self.cluster.run(*self.within(a), "sh", "-c", 'python3 -c "$0" "$@" 2>/dev/null && echo yes || echo no', CONNECT, self.addresses[b], str(port), seconds)
        return done.strip() == "yes"

    # --- what is tried

    def tried(self):
        return {f"{a} -> {b}:{port}": self.reaches(a, b, port) for a, b, port, *_ in MATRIX}

    def compare(self, name, column):
        wanted = {f"{row[0]} -> {row[1]}:{row[2]}": row[column] for row in MATRIX}
        # The agent takes a change in a moment later.
        found = self.tried()
        for _ in range(10):
            if found == wanted:
                break
            found = self.tried()
        self.figures[name] = found
        wrong = {what: reached for what, reached in found.items() if reached != wanted[what]}
        self.check(name, not wrong, wrong)

    def without(self):
        self.people()
        self.servers()
        found = wait("every server to answer", lambda: (lambda all_: all_ if all(all_.values()) else None)(self.tried()), 60)
        self.check("without an agent everybody reaches everything", all(found.values()), found)

    def agent(self):
        config = str(pathlib.Path(self.cluster.out).resolve() / "kubeconfig")
        self.start("kube-router", "kube-router", "--run-firewall=true", "--run-router=false", "--run-service-proxy=false", "--kubeconfig", config,
                   "--hostname-override", "node-1", "--service-cluster-ip-range", "10.96.0.0/16", "--iptables-sync-period", "5s")
        wait("the agent to enforce", lambda: not self.reaches("stranger", "server", 29500), 90)

    def defaults(self):
        self.compare("with the chart's defaults, who may reach what, and nobody else", 3)

    def narrow(self):
        egress = [{"to": [{"ipBlock": {"cidr": f"{NODE}/32"}}], "ports": [{"port": 7070}]}]
        values = self.out / "narrow.json"
        values.write_text(json.dumps({"networkPolicy": {"workers": {"egress": egress}}}))
        self.helm("upgrade", "agoge", "charts/agoge", "--namespace", "agoge", "--wait", "--timeout", "3m", *self.values(), "-f", str(values))
        self.people()
        self.compare("with the way out narrowed to the store, nothing else is reached", 4)

    def run(self):
        """Work goes through under the narrow policy: store, progress and DNS are all it needs."""
        self.cluster.apply(objects.synthesis("desk"), objects.suite("desk", "desk"))
        wait("the suite's end", lambda: self.cluster.status("checkersuite", "desk").get("phase") in ENDED, 180)
        phases = {kind: self.cluster.status(kind, "desk").get("phase") for kind in ("synthesisjob", "checkersuite")}
        self.check("a job and a suite become Complete under it", set(phases.values()) == {"Complete"}, phases)

    def all(self):
        self.step("images, cluster, charts", self.prepare)
        self.step("without an agent", self.without)
        self.step("the agent", self.agent)
        self.step("the defaults", self.defaults)
        self.step("a narrow way out", self.narrow)
        self.step("work", self.run)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the cluster up")
    Policies().conduct(parser.parse_args().keep)


if __name__ == "__main__":
    main()
