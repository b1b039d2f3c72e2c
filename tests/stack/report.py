"""Writes OUT/result.json and OUT/report.md of a run of `make stack`: report.py OUT SECONDS."""

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def shown(rate: dict) -> str:
    return f"{rate['value']:.3f} | {rate['low']:.3f} to {rate['high']:.3f} | {rate['n']}"


def text(result: dict) -> str:
    train, evaluation, own = result["train"], result["evaluation"], result["agoge"]["sft"]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    curve = "\n".join(
        f"| {row['step']} | {row['seconds']:.0f} | {row['reward']:.3f} | {1 - row['frac_reward_zero_std']:.2f} "
        f"| {row['completions/mean_length']:.1f} | {row['entropy']:.3f} |"
        for row in train["curve"]
    )
    rates = "\n".join(f"| {name} | {shown(rate)} |" for name, rate in evaluation["rates"].items())
    gain = evaluation["differences"]["after"]
    lost = sum(evaluation["withoutVerdict"].values())
    return f"""# A run of `make stack`

The courier suite, unchanged, trained and evaluated by other stacks: TRL's GRPOTrainer through the OpenEnv face of `agoge env serve`,
then verifiers with the package of `agoge env package`. Run on {result["date"]} on {result["cores"]} cores, {result["minutes"]} minutes
without installing and building. All figures are in [stack.json](stack.json), as the run wrote them.

```sh
make stack
```

Versions: {versions}.

The policy is fresh, {train["parameters"]:,} parameters, after the short SFT of `tests/stack/patch.yaml`. TRL plays {train["groupsPerGeneration"]} tasks of the split `trainRl` a generation, {train["groupSize"]} dialogues each, at temperature
{train["temperature"]}, and makes {train["updatesPerGeneration"]} updates of them. The only reward is the server's verdict. {train["rollouts"]:,}
dialogues in {train["seconds"]:.0f} seconds; {train["withoutVerdict"]} without a verdict.

| updates | seconds | mean reward | groups that differ | tokens of the agent | entropy |
|---|---|---|---|---|---|
{curve}

Each row has other tasks, so its reward wavers with them. Held out, through verifiers, greedy, with intervals of 95 % over families of
tasks; {lost} dialogues without a verdict:

| policy | reward | 95 % | tasks |
|---|---|---|---|
{rates}

Paired by task, after minus before: {gain["value"]:+.3f} ({gain["low"]:+.3f} to {gain["high"]:+.3f}). Agoge's own evaluation gives the policy
before a pass^1 of {own["pass^1"]:.3f} ({own["low"]:.3f} to {own["high"]:.3f}) on {own["n"]} held-out tasks, not all of them the same.
"""


def main() -> None:
    out = Path(sys.argv[1])
    train, evaluation, own = (
        json.loads((out / name).read_text()) for name in ("trained/train.json", "evaluate.json", "run/result.json")
    )
    agoge = subprocess.run([ROOT / "target/release/agoge", "--version"], check=True, capture_output=True, text=True)
    result = {
        "date": date.today().isoformat(),
        "cores": len(os.sched_getaffinity(0)),
        "minutes": round(float(sys.argv[2]) / 60),
        "versions": {"agoge": agoge.stdout.split()[-1]} | train.pop("versions") | evaluation.pop("versions"),
        "agoge": {"sft": own["policy"]["sft"]},
        "train": train,
        "evaluation": evaluation,
    }
    (out / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    (out / "report.md").write_text(text(result))
    print(f"stack: {out / 'result.json'} and {out / 'report.md'}")


main()
