"""Joins the evaluations in a folder: report.py OUT writes OUT/result.json and OUT/report.md, and prints the latter."""

import json
import pathlib
import sys

out = pathlib.Path(sys.argv[1])
records = [json.loads(file.read_text())["evaluation"] for file in sorted(out.glob("*/eval.json"))]
(out / "result.json").write_text(json.dumps(records, indent=1) + "\n")


def rate(estimate):
    if not estimate or not estimate["n"]:
        return "-"
    return f"{estimate['value']:.3f} ({estimate['low']:.3f} - {estimate['high']:.3f})"


lines = [
    "# A small model on tau2-bench, by `make eval-tau2`",
    "",
    "The demo's language model plays the agent and the user. It is small: these figures show that the evaluation works, not what the",
    "benchmark can tell about a good model. Intervals are 95 %. `empty` says and calls nothing.",
    "",
    "| benchmark | split | tasks | trials | pass^1 | empty | proved nothing | reward basis (tasks) |",
    "|---|---|---|---|---|---|---|---|",
]
for record in records:
    bench = record["benchmark"]
    basis = ", ".join(f"{name} {count}" for name, count in bench["basis"].items())
    lines.append(
        f"| {bench['name']} ({bench.get('version', '-')}) | {bench['split']} | {len(record['tasks'])} | {record['trials']} "
        f"| {rate(record['pass'][0])} | {rate(record['baselines'].get('empty'))} | {sum(record['void'].values())} | {basis} |"
    )
for record in records:
    bench, agent, user = record["benchmark"], record["agent"], record["user"]
    lines += ["", f"## {bench['name']}", "", "| task | passed | trials | proved nothing | breakdown |", "|---|---|---|---|---|"]
    for task in record["tasks"]:
        parts = ", ".join(f"{kind} {value:g}" for kind, value in task.get("breakdown", {}).items())
        lines.append(f"| {task['id']} | {task['passed']} | {task['trials']} | {task.get('void', 0)} | {parts} |")
    lines += ["", *(f"- {count} episodes proved nothing: {why}" for why, count in record["void"].items())]
    lines += [f"- {note}" for note in record.get("notes", [])]
    lines += [
        f"- agent `{agent['model']}` at temperature {agent['temperature']}, prompt `{agent['promptDigest']}`",
        f"- user `{user['model']}` at temperature {user['temperature']}, prompt `{user['promptDigest']}`, greeting {user['greeting']!r}",
        f"- seed {record['seed']}, {record['rules']['maxTurns']} turns, {record['rules']['maxAgentTokens']} tokens an answer, "
        f"{record['rules']['maxUserTokens']} of the user",
        f"- domain `{bench['domainDigest']}`, tasks `{bench['tasksDigest']}`, Agoge {record['agoge']}",
    ]
text = "\n".join(lines) + "\n"
(out / "report.md").write_text(text)
print(text)
