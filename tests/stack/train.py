"""TRL's GRPOTrainer on a domain that `agoge env serve` serves: a few steps from a small policy, and the curve.

    train.py RUN POLICY OUT --generations 20

RUN is the folder of a run of `agoge up`, whose qualified suite is served. POLICY is a policy in transformers' form, OUT is written: the
trained policy in OUT/policy, and OUT/train.json. The only reward is the server's verdict."""

import argparse
import json
import shutil
import time
from importlib.metadata import version
from pathlib import Path

import torch
from datasets import Dataset
from served import serving
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from rollout import Rollouts

GROUP, GROUPS, UPDATES = 8, 16, 4
TEMPERATURE = 0.8
LOGGED = ("reward", "reward_std", "frac_reward_zero_std", "completions/mean_length", "entropy", "loss", "grad_norm")


def verdict(completions, verdict, **_) -> list[float | None]:
    """The server's reward of each rollout."""
    return verdict


def config(out: Path, generations: int, rate: float) -> GRPOConfig:
    """GRPO of TRL; the sizes are those of examples/courier/grporun.yaml."""
    return GRPOConfig(
        output_dir=str(out / "trl"),
        max_steps=generations * UPDATES,
        per_device_train_batch_size=GROUP * GROUPS // UPDATES,
        steps_per_generation=UPDATES,
        gradient_accumulation_steps=1,
        num_generations=GROUP,
        learning_rate=rate,
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=2 * UPDATES,
        temperature=TEMPERATURE,
        loss_type="grpo",
        max_completion_length=512,
        logging_steps=UPDATES,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        disable_tqdm=True,
        seed=1,
    )


class Clock(TrainerCallback):
    """Adds the seconds since the start to each line that is logged."""

    def __init__(self):
        self.start = time.monotonic()

    def on_log(self, args, state, control, logs=None, **_):
        if logs and "reward" in logs:
            state.log_history[-1]["seconds"] = round(time.monotonic() - self.start, 1)
            print(f"step {state.global_step}: reward {logs['reward']:.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("policy", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--generations", type=int, default=20, help="batches of rollouts")
    parser.add_argument("--learning-rate", type=float, default=2e-4)
    options = parser.parse_args()
    torch.manual_seed(1)
    # One token of so small a model is too little work to divide, and the server wants a core as well.
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(options.policy, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(options.policy, dtype=torch.float32)
    begun = time.monotonic()
    with serving("--out", options.run) as server:
        _, served = server.ask("GET", "/tasks?split=trainRl")
        tasks = Dataset.from_dict({"prompt": [task["id"] for task in served["tasks"]]})
        rollouts = Rollouts(server.url, tokenizer, TEMPERATURE)
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=verdict,
            args=config(options.out, options.generations, options.learning_rate),
            train_dataset=tasks,
            processing_class=tokenizer,
            rollout_func=rollouts,
            callbacks=[Clock()],
        )
        trainer.train()
        rollouts.close()
    curve = [
        {"step": row["step"], "seconds": row["seconds"]} | {name: row[name] for name in LOGGED if name in row}
        for row in trainer.state.log_history
        if "reward" in row
    ]
    weights = options.out / "trl"
    trainer.model.save_pretrained(weights)
    # The weights are TRL's, the rest is as it was exported.
    shutil.copytree(options.policy, options.out / "policy", dirs_exist_ok=True)
    shutil.copy(weights / "model.safetensors", options.out / "policy/model.safetensors")
    result = {
        "versions": {name: version(name) for name in ("trl", "openenv-core", "transformers", "torch")},
        "tasks": len(tasks),
        "domain": served["digest"],
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "groupSize": GROUP,
        "groupsPerGeneration": GROUPS,
        "updatesPerGeneration": UPDATES,
        "learningRate": options.learning_rate,
        "temperature": TEMPERATURE,
        "rollouts": options.generations * GROUP * GROUPS,
        "withoutVerdict": len(rollouts.faults),
        "seconds": round(time.monotonic() - begun, 1),
        "curve": curve,
    }
    (options.out / "train.json").write_text(json.dumps(result, indent=2) + "\n")


main()
