"""Runs the cases of a folder: the inputs in the table of its README, each as the README says how.

usage: cases.py FOLDER OUT [CASE ...]

A case is named after its input: `E:quirk` and `Ef:quirk` are evaluations of a perfect agent behind an endpoint with a quirk, `W:quirk` are jobs
whose writer is sound but for the quirk, `P:task` are tasks of a suite with known verdicts, `C:file` are manifests that are checked, and
the rest are named after what they run. What each must give is in the functions below, one for a kind.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

INFRASTRUCTURE = 3
# What an evaluation must say where the quirk leaves the agent no answer: reasoning took every token, or the provider fails for good.
SAYS = {"reasoning_ate_it": r"--max-tokens"}
# Tasks of the suite that qualification must refuse, or must say something of where it lets them pass.
REFUSED, WARNED = {"declared"}, {"handoff", "ten"}


class Cases:
    def __init__(self, folder, out):
        self.public = folder / "public"
        self.out = out
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        self.desk = out / "desk"
        self.sh(["agoge", "domain", "new", str(self.desk)])
        self.results, self.notes = {}, {}
        self.suite = None

    def sh(self, command, seconds=240, **env):
        """Runs a command; returns its exit code and what it said."""
        environment = {**os.environ, "DESK": str(self.desk), "WORK": str(self.out), "LIMIT": str(seconds - 20), **env}
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            return 124, f"no end after {seconds} s"
        return done.returncode, done.stdout + done.stderr

    def evaluation(self, quirk, native, env, options):
        """The agent is perfect: whatever the quirk is, its score is 1.000, unless nothing of an answer comes through."""
        command = ["bash", str(self.public / "try_quirk.sh"), quirk, *options]
        _, said = self.sh(command + (["--native-calls"] if native else []), **env)
        file = self.out / quirk / "out.json"
        told = json.loads(file.read_text()) if file.is_file() else {}
        dialogues = told.get("dialogues", [])
        rewards = [d.get("reward") for d in dialogues]
        if quirk == "provider_error":
            ok = f"exit {INFRASTRUCTURE}" in said and not any(isinstance(r, (int, float)) for r in rewards)
        elif quirk in SAYS:
            ends = {d["end"]["kind"] for d in dialogues}
            ok = bool(re.search(SAYS[quirk], said)) and not ends & {"silent", "done"}
        else:
            tasks = int(env.get("TASKS", 8))
            ok = "exit 0" in said and len(rewards) == tasks and all(r == 1 for r in rewards)
        return ok, said

    def job(self, quirk, env):
        """The writer is sound: four of four are accepted, by the second run at the latest where there is one."""
        _, said = self.sh(["bash", str(self.public / "try_sea.sh"), quirk], **env)
        status = self.out / f"sea-{quirk}" / "out/objects/synthesisjob-sea.json"
        told = json.loads(status.read_text()) if status.is_file() else {}
        accepted = told.get("status", {}).get("accepted")
        return accepted == 4, said

    def played(self, task):
        """Verdicts of the suite are known: its script passes each task, but for those that must not be trusted."""
        if self.suite is None:
            out = self.out / "shop"
            _, said = self.sh(["agoge", "up", "-f", str(self.public / "shop/checkersuite.yaml"), "--domain", f"shop={self.public}/shop/domain",
                               "--out", str(out), "--no-progress"])
            _, checked = self.sh(["agoge", "domain", "check", str(self.public / "shop/domain")])
            _, played = self.sh(["bash", str(self.public / "play_suite.sh"), str(out), str(self.public / "shop/script.json"), "--native-calls"])
            self.suite = (said + checked, played)
        said, played = self.suite
        line = next((l for l in played.splitlines() if l.startswith(task + " ")), "")
        if task in REFUSED:
            ok = bool(re.search(rf"\b{task}\b.*declin", said)) and "reward 1" not in line
        elif task in WARNED:
            ok = bool(re.search(rf"\b{task}\b", said))
        else:
            ok = "reward 1" in line or (task == "steps" and bool(re.search(r"\bsteps\b.*order", said)))
        return ok, said + played

    def checked(self, name):
        """A manifest is fine, and `submit` says the same as `check` where one of them refuses."""
        file = str(self.public / "manifests" / f"{name}.yaml")
        code, said = self.sh(["agoge", "check", "-f", file])
        submitted, told = self.sh(["agoge", "kubectl", "submit", "-f", file, "--dry-run", "--offline"])
        ok = (code == 0) == (submitted == 0)
        if "int-env" not in name:
            ok = ok and code == 0
        return ok, said + told

    def edits(self):
        _, said = self.sh(["bash", str(self.public / "domain_edits.sh"), str(self.desk)])
        parts = dict(re.findall(r"## (\S+)\n(.*?)(?=\n## |\npacked|\Z)", said, re.S))
        sound = {name: "sound" in text for name, text in parts.items()}
        ok = "packed: the same bytes" in said and sound.get("bom") and sound.get("crlf") and sound.get("pycache")
        return bool(ok and not sound.get("same-id-twice") and not sound.get("nan")), said

    def names(self):
        """Every pod of every attempt has a name that Kubernetes takes: the Jobs a run of the longest admitted name makes."""
        both = [self.sound("kubectl", "submit", "-f", str(self.public / f"manifests/{name}.yaml"), "--dry-run", "--offline") for name in ("name-40", "grpo-40")]
        return all(ok for ok, _ in both), "".join(said for _, said in both)

    def sandbox(self):
        code, said = self.sh(["agoge", "up", "-f", str(self.public / "sandbox/checkersuite.yaml"), "--domain", f"desk={self.desk}/domain",
                              "--out", str(self.out / "sandbox"), "--no-progress"])
        status = self.out / "sandbox/objects"
        told = [json.loads(f.read_text()).get("status", {}) for f in status.glob("checkersuite-*.json")]
        # The suite attacks the sandbox: it ends, and nothing that attacks qualifies.
        return code in (0, 1) and all(s.get("phase") in ("Failed", "Complete") for s in told), said

    def sound(self, *command):
        """A command that finds nothing wrong."""
        code, said = self.sh(["agoge", *command])
        return code == 0, said

    def run(self, case, do, arguments):
        ok, said = do(*arguments)
        self.results[case] = bool(ok)
        self.notes[case] = said[-2000:]
        print(f"{case:32} {'ok' if ok else 'FAILS'}", flush=True)


def listed(folder):
    """The inputs of the table's third column, as (case, what to run)."""
    for line in (folder / "README.md").read_text().splitlines():
        cells = [c.strip() for c in line.strip().strip("|").split(" | ")]
        if not line.startswith("| ") or len(cells) < 5 or not cells[0].isdigit():
            continue
        p = False
        for code in re.findall(r"`([^`]+)`|\b(P)\b", cells[2]):
            text = code[0] or code[1]
            words = text.split()
            env = {}
            while words and "=" in words[0]:
                key, value = words.pop(0).split("=", 1)
                env[key] = value
            if not words:
                continue
            head = words[0]
            if head in ("E", "Ef"):
                yield f"{head}:{words[1]}", ("evaluation", words[1], head == "E", env, words[2:])
            elif head == "W":
                yield f"W:{words[1]}{':retry' if env else ''}", ("job", words[1], env)
            elif head == "C":
                yield f"C:{words[1]}", ("checked", words[1])
            elif head == "P":
                p = True
                for task in words[1:]:
                    yield f"P:{task}", ("played", task)
            elif p and len(words) == 1 and re.fullmatch(r"[a-z]+", head):
                yield f"P:{head}", ("played", head)
            elif "domain_edits.sh" in head:
                yield "domain_edits", ("edits",)
            elif "job_name_rule" in head:
                yield "names", ("names",)
            elif head == "agoge" and words[1:3] == ["domain", "check"]:
                yield f"domain:{Path(words[3]).name}", ("sound", "domain", "check", str(folder / words[3]))
            elif head == "agoge" and words[1] == "check":
                yield f"check:{words[3]}", ("sound", *words[1:])


def main():
    folder, out, only = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(), sys.argv[3:]
    cases = Cases(folder, out)
    todo = {"E:baseline": ("evaluation", "baseline", True, {}, []), "W:baseline": ("job", "baseline", {})}
    todo.update(listed(folder))
    todo["sandbox"] = ("sandbox",)
    for case, (kind, *arguments) in todo.items():
        if only and case not in only:
            continue
        cases.run(case, getattr(cases, kind), arguments)
    (out / "result.json").write_text(json.dumps(cases.results, indent=1) + "\n")
    (out / "said.json").write_text(json.dumps(cases.notes, indent=1, ensure_ascii=False) + "\n")
    failed = [case for case, ok in cases.results.items() if not ok]
    print(f"{len(cases.results) - len(failed)} of {len(cases.results)} hold: {out}/result.json")
    sys.exit(1 if failed else 0)


main()
