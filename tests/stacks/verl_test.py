"""Export `verl`, read by verl's own RLHFDataset with the tokenizer of the exported policy."""

import json
import tempfile

from exported import exported
from omegaconf import OmegaConf
from served import run
from transformers import AutoTokenizer
from verl.utils.dataset import RLHFDataset


def every_row_is_read_with_its_prompt_and_truth():
    folder, tokenizer = exported("verl", "--heldout"), AutoTokenizer.from_pretrained(exported("policy"))
    for name, split in (("train", "train"), ("test", "test")):
        options = {"cache_dir": tempfile.mkdtemp(), "max_prompt_length": 4096, "filter_overlong_prompts": True, "return_raw_chat": True}
        dataset = RLHFDataset(str(folder / f"{name}.parquet"), tokenizer, OmegaConf.create(options))
        assert len(dataset) > 0, name
        for index in range(len(dataset)):
            row = dataset[index]
            assert [message["role"] for message in row["raw_prompt"]] == ["system", "user"], row["raw_prompt"]
            assert row["reward_model"]["style"] == "rule" and row["extra_info"]["split"] == split, row["extra_info"]
            truth = json.loads(row["reward_model"]["ground_truth"])
            assert truth["gold"] is not None and truth["id"] == row["extra_info"]["task_id"]
            assert json.loads(row["extra_info"]["tools"])[0]["type"] == "function"


run(every_row_is_read_with_its_prompt_and_truth)
