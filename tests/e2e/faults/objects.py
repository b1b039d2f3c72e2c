"""The small objects of this test: the membership desk that `agoge domain new` writes, and what reading them takes."""

import pathlib

from cluster import sh

API = "agoge.dev/v1alpha1"
AGOGE = "target/release/agoge"


# --- making them

def config(name, resolves, **data):
    """A ConfigMap that a name of a manifest stands for."""
    meta = {"name": name, "labels": {"agoge.dev/resolves": resolves}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


def desk(folder):
    """The domain's folder, made anew."""
    sh(AGOGE, "domain", "new", "desk", str(folder))
    return folder / "domain"


def packed(folder, name="desk"):
    return sh(AGOGE, "domain", "pack", str(folder), "--name", name)


def flat(folder, name, **changed):
    """The domain file by file, as `kubectl create configmap` makes it: `domain pack` refuses one that is broken."""
    files = {str(p.relative_to(folder)).replace("/", "__"): p.read_text() for p in pathlib.Path(folder).rglob("*") if p.is_file()}
    return config(name, "domain", **(files | changed))


def made(kind, name, spec):
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}


def synthesis(name, accepted=24, **more):
    """Instances for every split, so that a run can be made of them."""
    splits = [{"split": "trainSft", "share": 2}, {"split": "trainRl", "share": 4}, {"split": "heldout", "share": 2}]
    strategy = {"name": "template", "target": {"accepted": accepted}, "parameters": {"splits": splits}}
    return made("SynthesisJob", name, {"domain": "desk", "strategies": [strategy]} | more)


def sea(name, endpoint, **more):
    """Instances that a model is to write."""
    strategy = {"name": "sea", "target": {"accepted": 4}}
    models = {"default": {"endpoint": endpoint, "model": "any", "patience": "1s"}}
    return made("SynthesisJob", name, {"domain": "desk", "strategies": [strategy], "models": models} | more)


def suite(name, source, **more):
    return made("CheckerSuite", name, {"domain": "desk", "source": {"synthesisJob": source}} | more)


def run(name, of, **more):
    """A tiny policy with a scripted user."""
    fresh = {"hiddenSize": 64, "layers": 2, "heads": 4, "kvHeads": 2, "intermediateSize": 160, "vocabSize": 512, "maxLength": 256}
    stages = {
        "agentSFT": {"learningRate": 0.003, "batch": 8, "maxEpochs": 20, "patience": 5},
        "grpo": {"groupSize": 4, "groupsPerStep": 8, "maxTrajectoryTokens": 160, "steps": 0, "wallClock": "40s", "checkpointEvery": 1},
        "evaluation": {"tasks": 20, "samples": 2, "arms": ["sft", "grpo"]},
    }
    spec = {"suite": of, "domain": "desk", "policy": {"fresh": fresh}, "user": {"model": "scripted"}, "stages": stages}
    return made("GRPORun", name, spec | more)


# --- reading them

def condition(thing, kind):
    """A condition of an object; an empty one where there is none."""
    return next((c for c in thing.get("status", {}).get("conditions", []) if c["type"] == kind), {})


def reason(thing, kind="Progressing"):
    return condition(thing, kind).get("reason")


def labels(thing):
    return thing["metadata"].get("labels", {})


def state(pod, which):
    """How the worker's container waits, runs or ended; None where it does not."""
    containers = pod.get("status", {}).get("containerStatuses", [])
    return next((c["state"].get(which) for c in containers if c["name"] == "worker"), None)


def of(owner, **more):
    """Whether a pod or a Job is of this object."""
    wanted = {"agoge.dev/owner": owner} | {f"agoge.dev/{key}": str(value) for key, value in more.items()}
    return lambda thing: wanted.items() <= labels(thing).items()
