"""An object that the operator cannot read is told so, and stops nothing else.

It was stored when the schema allowed more, as after a downgrade: one has a strategy that this version does not know, the
other a text where a number should be.
"""

import json

import objects
from cluster import Failed, wait
from objects import condition
from stage import ENDED

TEAM = "team"
CRD = "synthesisjobs.agoge.dev"
STRANGE, TYPED = "strange-strategy", "strange-type"


class Malformed:
    def __init__(self, stage):
        self.stage, self.watch, self.cluster = stage, stage.watch, stage.inside(TEAM)

    def loosen(self):
        """The schema of another version: one more strategy, and `parallelism` in words."""
        spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties"
        patch = [
            {"op": "add", "path": f"{spec}/strategies/items/properties/name/enum/-", "value": "dream"},
            {"op": "replace", "path": f"{spec}/parallelism", "value": {"x-kubernetes-int-or-string": True}},
        ]
        self.cluster.kubectl("patch", "crd", CRD, "--type=json", "-p", json.dumps(patch))

    def restore(self):
        self.cluster.kubectl("replace", "-f", "charts/agoge-crds/templates/crds.yaml")

    def store(self):
        strange = objects.synthesis(STRANGE)
        strange["spec"]["strategies"].append({"name": "dream", "target": {"accepted": 1}})
        self.put(strange)
        self.put(objects.synthesis(TYPED, parallelism="plenty"))

    def put(self, document):
        """The API server takes a while to serve a changed schema."""
        def create():
            text = json.dumps(document)
            return self.cluster.kubectl("create", "--validate=false", "-f", "-", text=text, check=False)
        wait(f"{document['metadata']['name']} to be stored", create, 30, 0.5)

    def told(self, name, generation=1):
        """Whether the condition says that this generation cannot be read."""
        def fits(thing):
            accepted = condition(thing, "Accepted")
            return accepted.get("reason") == "InvalidSpec" and accepted.get("observedGeneration") == generation
        return self.watch.first("synthesisjob", TEAM, name, fits)

    def check_told(self, what, name, generation=1, seconds=15):
        try:
            at, thing = self.watch.until(what, lambda: self.told(name, generation), seconds)
        except Failed as late:
            self.stage.check(what, False, f"{late}: {(self.watch.now('synthesisjob', TEAM, name) or {}).get('status')}")
            return
        stored = next(at for at, s in self.watch.history("synthesisjob", TEAM, name) if s and s["metadata"]["generation"] == generation)
        self.stage.figures.setdefault("secondsUntilTold", {})[f"{name}-{generation}"] = round(at - stored, 2)
        self.stage.check(what, thing["status"]["phase"] == "Waiting", thing["status"])

    def sound(self, name):
        self.cluster.apply(objects.synthesis(name))
        _, thing = self.watch.phase("synthesisjob", TEAM, name, ENDED)
        return thing["status"]["phase"] == "Complete"

    def touch(self, name):
        """Another generation, under the strict schema: what was wrong before may stay."""
        patch = json.dumps({"spec": {"budget": {"wallClock": "1h"}}})
        self.cluster.kubectl("patch", "synthesisjob", name, "--type=merge", "-p", patch)

    def mend(self, name):
        """Its field is of its type again: it runs, and what was said of it is gone."""
        self.cluster.kubectl("patch", "synthesisjob", name, "--type=merge", "-p", json.dumps({"spec": {"parallelism": 1}}))
        _, thing = self.watch.phase("synthesisjob", TEAM, name, ENDED)
        return thing["status"]["phase"] == "Complete" and not condition(thing, "Stalled"), thing["status"]

    def strict(self):
        refused = self.cluster.kubectl("create", "--dry-run=server", "-f", "-", text=json.dumps(objects.synthesis("no", parallelism="plenty")), check=False)
        return not refused

    def all(self):
        self.stage.step("malformed objects", self.steps)

    def steps(self):
        self.loosen()
        self.store()
        self.check_told("an unknown strategy is told as InvalidSpec", STRANGE)
        self.check_told("a text for a number is told as InvalidSpec", TYPED)
        self.stage.check("another object beside them becomes Complete", self.sound("beside"))
        self.restore()
        wait("the strict schema", self.strict, 30)
        self.touch(STRANGE)
        self.touch(TYPED)
        self.check_told("an unknown strategy is told under the strict schema", STRANGE, 2)
        self.check_told("a text for a number is told under the strict schema", TYPED, 2)
        self.stage.check("one that is mended goes on, and is Stalled no more", *self.mend(TYPED))
        operator = self.stage.inside("agoge")
        operator.kubectl("rollout", "restart", "deployment")
        operator.kubectl("rollout", "status", "deployment", "--timeout=120s")
        self.stage.check("an operator that finds them at its start goes on with the others", self.sound("after-a-start"))
        self.cluster.kubectl("delete", "synthesisjob", STRANGE, TYPED, "--timeout=30s")
        left = {o["metadata"]["name"] for o in self.cluster.items("synthesisjobs")} & {STRANGE, TYPED}
        self.stage.check("what cannot be read can be deleted", not left, left)
