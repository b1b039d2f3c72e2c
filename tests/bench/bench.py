"""Our decoding, SFT and GRPO step beside the same work in transformers and TRL, and our checks beside CPython:
`bench.py LEARNER CHECKER DOMAIN DIR RESULT`, the first two being the binaries that do our side.

Both sides run in one session on the same weights, in float32, with the same number of threads; repetitions alternate,
the first of each side is not counted, and a row is the median of the rest. While one side works the other is idle.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
import trl
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback

import checks

REPETITIONS = int(os.environ.get("BENCH_REPETITIONS", "7"))
THREADS = int(os.environ.get("BENCH_THREADS", os.cpu_count() or 1))


class Ours:
    """The Rust side, one line a repetition."""

    def __init__(self, *command: str) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS)}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.about = self.answer()

    def answer(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            sys.exit("our side ended early; its message is above")
        return json.loads(line)

    def run(self, what: str) -> tuple[float, float, int]:
        before = self.cpu()
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        answer = self.answer()
        return answer["seconds"], self.cpu() - before, answer["tokens"]

    def cpu(self) -> float:
        """Seconds of processor time of all its threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measured(work) -> tuple[float, float, int]:
    used = lambda: sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    wall, cpu = time.perf_counter(), used()
    tokens = work()
    return time.perf_counter() - wall, used() - cpu, tokens


def load(folder: Path):
    return AutoModelForCausalLM.from_pretrained(folder / "policy", dtype=torch.float32)


def decode(folder: Path, work: dict):
    model = load(folder).eval()
    ids = torch.tensor(work["prompts"])
    new = work["new"]

    def run() -> int:
        out = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=new, min_new_tokens=new, do_sample=True, top_k=0,
            top_p=1.0, pad_token_id=1,
        )  # fmt: skip
        return (out.shape[1] - ids.shape[1]) * ids.shape[0]

    return run


def sft(folder: Path, work: dict):
    model = load(folder).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    transcripts, size = work["transcripts"], work["batch"]
    epoch = 0

    def run() -> int:
        nonlocal epoch
        order = torch.randperm(len(transcripts), generator=torch.Generator().manual_seed(epoch)).tolist()
        epoch += 1
        for start in range(0, len(order), size):
            rows = [transcripts[i] for i in order[start : start + size]]
            width = max(len(row["ids"]) for row in rows)
            ids = torch.tensor([row["ids"] + [1] * (width - len(row["ids"])) for row in rows])
            labels = torch.tensor(
                [
                    [i if t else -100 for i, t in zip(row["ids"], row["mask"])] + [-100] * (width - len(row["ids"]))
                    for row in rows
                ]
            )
            mask = torch.tensor([[1] * len(row["ids"]) + [0] * (width - len(row["ids"])) for row in rows])
            model(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        return sum(len(t["ids"]) for t in transcripts)

    return run


def grpo(ours: Ours, folder: Path, work: dict) -> tuple[list, list]:
    """TRL drives: before each of its steps our side does one of its own, outside TRL's clock."""
    model = load(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder / "policy", eos_token="<|end|>", pad_token="<|pad|>")
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    mine, theirs = [], []
    rows = len(work["questions"]) * work["group"]

    def reward(completion_ids, **_):
        return [1.0 if 2 * sum(i % 2 == 0 for i in ids) > len(ids) else 0.0 for ids in completion_ids]

    class Clock(TrainerCallback):
        def on_step_begin(self, *_args, **_kwargs):
            mine.append(ours.run("grpo"))

        def on_step_end(self, *_args, **_kwargs):
            now = time.perf_counter(), sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
            if self.last:
                # What passed since the last step's end, less our own repetition in between.
                theirs.append((now[0] - self.last[0] - mine[-1][3], now[1] - self.last[1], 0))
            self.last = now

        last = None

    def run(what: str, original=ours.run):
        wall = time.perf_counter()
        return (*original(what), time.perf_counter() - wall)

    ours.run = run
    arguments = trl.GRPOConfig(
        output_dir=str(folder / "trl"), per_device_train_batch_size=rows, gradient_accumulation_steps=1,
        num_generations=work["group"], max_completion_length=work["new"], max_steps=REPETITIONS + 2, learning_rate=2e-4,
        lr_scheduler_type="constant", beta=0.0, temperature=1.0, top_k=0, top_p=1.0, scale_rewards="group", bf16=False,
        use_cpu=True, gradient_checkpointing=False, optim="adamw_torch_fused", max_grad_norm=1.0, save_strategy="no",
        logging_strategy="no", report_to=[], disable_tqdm=True,
    )  # fmt: skip
    trainer = trl.GRPOTrainer(
        model=model, reward_funcs=reward, args=arguments, processing_class=tokenizer, callbacks=[Clock()],
        train_dataset=Dataset.from_dict({"prompt": work["questions"]}),
    )  # fmt: skip
    trainer.train()
    # The peer's first step has no step before it to count from, its second is the warm-up.
    return [m[:3] for m in mine[2:]], theirs[1:]


def row(name: str, ours: list, peer: list, unit: str, not_same: str) -> dict:
    median = lambda side, column: statistics.median(one[column] for one in side)
    ratio = median(peer, 0) / median(ours, 0)
    figure = (lambda side: median(side, 0)) if unit == "s" else lambda side: statistics.median(o[2] / o[0] for o in side)
    return {
        "name": name,
        "ours": round(figure(ours), 4),
        "peer": round(figure(peer), 4),
        "ratio": round(ratio if unit == "s" else figure(ours) / figure(peer), 3),
        "aim": 2,
        "unit": unit,
        "precision": "fp32",
        "notSame": not_same,
        "threads": THREADS,
        "repetitions": len(ours),
        "cpuSecondsOurs": round(median(ours, 1), 3),
        "cpuSecondsPeer": round(median(peer, 1), 3),
        "cpuRatio": round(median(peer, 1) / median(ours, 1), 3),
    }


def alternate(ours: Ours, what: str, peer) -> tuple[list, list]:
    mine, theirs = [], []
    for repetition in range(REPETITIONS + 1):
        a, b = ours.run(what), measured(peer)
        if repetition:
            mine.append(a)
            theirs.append(b)
    return mine, theirs


def main() -> None:
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    learner, checker, domain = sys.argv[1:4]
    folder, result = Path(sys.argv[4]), Path(sys.argv[5])
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(THREADS)
    transformers.logging.set_verbosity_error()
    ours = Ours(learner, str(folder))
    work = json.loads((folder / "work.json").read_text())
    rows = [
        row(
            "batched decode", *alternate(ours, "decode", decode(folder, work["decode"])), "tokens/s",
            "256 sequences, 40 + 96 tokens; ours also returns the log-probability of each token",
        ),
        row(
            "SFT", *alternate(ours, "sft", sft(folder, work["sft"])), "tokens/s",
            "128 dialogues of 60-220 tokens, a third trained, batches of 16, AdamW; the peer is a bare loop (no Trainer) that "
            "pads each batch to its longest and has logits for every token; ours has no padding and logits for trained "
            "tokens only; each side has its own order",
        ),
        row(
            "GRPO step", *grpo(ours, folder, work["grpo"]), "s",
            "16 prompts x 8 completions of at most 64 tokens, the same code as reward, one AdamW update; the peer is TRL's "
            "GRPOTrainer with its bookkeeping (logging, saving and checkpointing of activations off); its loss is TRL's "
            "default; ours prefills a group's prompt once",
        ),
    ]  # fmt: skip
    judge = Ours(checker, domain, str(folder))
    same = checks.peer(Path(domain), folder)
    assert same() == judge.about["tasks"], "CPython does not pass the tasks that ours passes"
    rows.append(
        row(
            "courier checks", *alternate(judge, "checks", lambda: same() and judge.about["tasks"]), "checks/s",
            "200 tasks, right calls played and judged; report only: ours runs them in a confined process with limits and "
            "evidence, CPython has none of that",
        )
    )  # fmt: skip
    rows[-1]["aim"] = None
    # Our work is done in the sandbox's process, whose processor time is not counted here.
    for name in ("cpuSecondsOurs", "cpuSecondsPeer", "cpuRatio"):
        del rows[-1][name]
    about = {
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__, "trl": trl.__version__},
        "parameters": ours.about["parameters"],
        "threads": THREADS,
        "load": os.getloadavg()[0],
    }
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")
    print(json.dumps(about))
    for one in rows:
        print(f"{one['name']:16} ours {one['ours']:>10} peer {one['peer']:>10} {one['unit']:9} ratio {one['ratio']}")


if __name__ == "__main__":
    main()
