"""Everything that happens to the objects of some kinds, with the moment it was seen: all figures come from one clock."""

import json
import subprocess
import threading
import time

from cluster import Failed

AGOGE = "/apis/agoge.dev/v1alpha1"
PATHS = {
    "pod": "/api/v1/pods",
    "event": "/api/v1/events",
    "job": "/apis/batch/v1/jobs",
    "synthesisjob": f"{AGOGE}/synthesisjobs",
    "checkersuite": f"{AGOGE}/checkersuites",
    "grporun": f"{AGOGE}/grporuns",
}


class Watch:
    def __init__(self, out):
        self.lock = threading.Lock()
        # By kind, namespace and name: moments and what the object was then; None when it was gone.
        self.states = {}
        self.over, self.processes = False, {}
        for kind, path in PATHS.items():
            threading.Thread(target=self._follow, args=(out, kind, path), daemon=True).start()

    def _follow(self, out, kind, path):
        """Watches again whenever the API server ends a watch, as it does when a schema changes."""
        command = ["hack/cluster/in", "--out", out, "kubectl", "get", "--raw", f"{path}?watch=1"]
        while not self.over:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, text=True)
            self.processes[kind] = process
            for line in process.stdout:
                if line.endswith("\n"):
                    self._take(kind, json.loads(line))
            time.sleep(0.2)

    def _take(self, kind, change):
        now, thing = time.monotonic(), change["object"]
        meta = thing.get("metadata", {})
        key = (kind, meta.get("namespace"), meta.get("name"))
        with self.lock:
            self.states.setdefault(key, []).append((now, None if change["type"] == "DELETED" else thing))

    def history(self, kind, namespace, name):
        """Every state of one object: moment and object, oldest first."""
        with self.lock:
            return list(self.states.get((kind, namespace, name), []))

    def now(self, kind, namespace, name):
        """The object as it was seen last; None where there is none."""
        states = self.history(kind, namespace, name)
        return states[-1][1] if states else None

    def all(self, kind, namespace, fits=lambda thing: True):
        """Every state of every object of a kind for which something holds: moment and object, oldest first."""
        with self.lock:
            found = [s for (k, where, _), states in self.states.items() if (k, where) == (kind, namespace) for s in states]
        return sorted(((at, thing) for at, thing in found if thing and fits(thing)), key=lambda state: state[0])

    def there(self, kind, namespace, fits=lambda thing: True):
        """Every object of a kind that there is now and for which something holds, by name."""
        with self.lock:
            found = {name: states[-1][1] for (k, where, name), states in self.states.items() if (k, where) == (kind, namespace)}
        return {name: thing for name, thing in found.items() if thing and fits(thing)}

    def first(self, kind, namespace, name, fits):
        """Moment and object of the first state for which something holds; None before there is one."""
        states = self.history(kind, namespace, name)
        return next(((at, thing) for at, thing in states if thing and fits(thing)), None)

    def until(self, what, look, seconds=120):
        """Waits for what `look` finds; fails with what it waited for."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = look()
            if found:
                return found
            time.sleep(0.1)
        raise Failed(f"waited {seconds} s for {what}")

    def phase(self, kind, namespace, name, phases, seconds=120):
        """Waits for a phase; gives the moment and the object."""
        fits = lambda thing: thing.get("status", {}).get("phase") in phases
        look = lambda: self.first(kind, namespace, name, fits)
        try:
            return self.until(f"{kind} {name} to be {' or '.join(phases)}", look, seconds)
        except Failed as late:
            raise Failed(f"{late}; it is {(self.now(kind, namespace, name) or {}).get('status')}") from None

    def end(self):
        self.over = True
        for process in self.processes.values():
            process.kill()
