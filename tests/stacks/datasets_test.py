"""Exports as `datasets` and pyarrow load them: rows, columns and splits as they were written."""

import json
import os
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"

import pyarrow.parquet
from datasets import load_dataset
from exported import DESK, GIVEN, agoge, exported, rows, says_what_made_it
from served import run


def load(folder, config=None):
    # A cache of its own: the shared one knows a dataset by its folder's last name.
    cache = tempfile.mkdtemp()
    return load_dataset(str(folder), config, cache_dir=cache, keep_in_memory=True)


def whole(written: dict, loaded) -> None:
    """Requires that everything written was loaded; keys that a message does not have may be null."""
    if isinstance(written, dict):
        assert isinstance(loaded, dict), (written, loaded)
        for key in set(written) | set(loaded):
            whole(written.get(key), loaded.get(key))
    elif isinstance(written, list):
        assert len(written) == len(loaded), (written, loaded)
        for one, other in zip(written, loaded, strict=True):
            whole(one, other)
    else:
        assert written == loaded, (written, loaded)


def messages_load_as_parquet_with_their_configurations():
    folder = exported("messages", "--heldout")
    for config in ("agent", "user"):
        loaded = load(folder, config)
        assert "train" in loaded, loaded
        for split, table in loaded.items():
            lines = rows(folder / f"data/{config}-{split}.jsonl")
            assert len(table) == len(lines) > 0
            for row, line in zip(table, lines, strict=True):
                whole(line, row)
                says_what_made_it(row)
                json.loads(row["tools"])
                for message in row["messages"]:
                    for call in message["tool_calls"] or []:
                        assert isinstance(json.loads(call["function"]["arguments"]), dict), call
    table = pyarrow.parquet.read_table(folder / "data/agent-train.parquet")
    assert table.schema.field("messages").type.value_type.field("role").type == "string"


def every_other_table_loads_with_all_its_rows():
    for form, files in {
        "dataset": {"sft": "data/sft.jsonl", "rl": "data/rl.jsonl"},
        "trl": {"sft": "data/sft.jsonl", "grpo": "data/grpo.jsonl"},
        "sharegpt": {"default": "data/train.jsonl"},
        "turns": {"default": "data/train.jsonl"},
        "nemo-gym": {"default": "train.jsonl"},
    }.items():
        folder = exported(form)
        for config, file in files.items():
            table, lines = load(folder, config)["train"], rows(folder / file)
            assert len(table) == len(lines) > 0, (form, config)
            for row, line in zip(table, lines, strict=True):
                whole(line, row)
                says_what_made_it(row)


def sharegpt_alternates():
    for row in rows(exported("sharegpt") / "data/train.jsonl"):
        speakers = [turn["from"] for turn in row["conversations"]]
        assert all(one in ("human", "observation") for one in speakers[::2]), speakers
        assert all(one in ("gpt", "function_call") for one in speakers[1::2]), speakers


def what_is_exported_can_be_imported_again():
    if GIVEN:
        return  # its domain's folder is not known here
    for form in ("messages", "dataset", "trl", "turns", "sharegpt"):
        folder = exported(form)
        out = folder.parent / "imported"
        agoge("import", folder, "--domain", DESK / "desk", "--out", out)
        report = json.loads((out / "report.json").read_text())
        assert report["taken"] > 0, (form, report["refusedBy"])
        # The rows of the user's side are no dialogues of an agent.
        allowed = {"duplicate", "form"} if form == "messages" else {"duplicate"}
        assert set(report["refusedBy"]) <= allowed, (form, report["refused"][:3])


run(
    messages_load_as_parquet_with_their_configurations,
    every_other_table_loads_with_all_its_rows,
    sharegpt_alternates,
    what_is_exported_can_be_imported_again,
)
