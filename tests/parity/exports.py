"""Loads what `agoge export` wrote in the libraries it is written for, and renders it.

    exports.py FOLDER ...

A folder with `data/` is a dataset: `datasets` must give every row back as it was written, and chat templates must render it -
one of the Qwen family's form that is written here, and those that TRL ships, where TRL is installed. A folder with
`train.jsonl` is a file for OpenAI's fine-tuning, whose rules are checked here.
"""

import json
import os
import re
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")

from datasets import load_dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

# Templates write arguments and tools by `tojson`, so that text would be encoded twice, and some look only for a key.
QWEN_FORM = (
    "{% for m in messages %}{{ '<|im_start|>' + ('user' if m.role == 'tool' else m.role) + '\n' }}"
    "{% if m.role == 'tool' %}{{ '<tool_response>\n' + m.content + '\n</tool_response>' }}{% else %}{{ m.content }}{% endif %}"
    "{% if loop.first and tools %}{{ '\n<tools>' }}{% for t in tools %}{{ '\n' }}{{ t | tojson }}{% endfor %}{{ '\n</tools>' }}{% endif %}"
    "{% if 'tool_calls' in m %}{% if not m.tool_calls %}{{ raise_exception('there are no calls') }}{% endif %}"
    "{% for c in m.tool_calls %}{{ '\n<tool_call>\n{\"name\": \"' + c.function.name + '\", \"arguments\": ' }}"
    "{{ c.function.arguments | tojson }}{{ '}\n</tool_call>' }}{% endfor %}{% endif %}"
    "{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# Templates of TRL, and whether they take several calls in one message.
SHIPPED = {"qwen2_5": True, "qwen3": True, "llama3_1": False, "llama3_2": False}
# Only `tokenize=False` is used: the text matters, not its ids.
TOKENIZER = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel({"x": 0}, unk_token="x")), bos_token="<s>")


def render(row: dict, template: str, column: str = "messages", **more) -> str:
    return TOKENIZER.apply_chat_template(
        row[column], tools=row["tools"] or None, chat_template=template, tokenize=False, **more
    )


def shipped() -> dict[str, str]:
    try:
        from importlib.resources import files

        folder = files("trl") / "chat_templates"
        found = {name: folder / f"{name}.jinja" for name in SHIPPED}
        return {name: file.read_text() for name, file in found.items() if file.is_file()}
    except ModuleNotFoundError:
        return {}


def calls_of(message: dict) -> list[dict]:
    return [call["function"] for call in message.get("tool_calls", [])]


def dialogue(row: dict, templates: dict[str, str]) -> None:
    messages = row["messages"]
    roles = [m["role"] for m in messages]
    assert roles[0] == "system" and roles[-1] == "assistant", roles
    assert row["trainable"] == [role == "assistant" for role in roles], row["trainable"]
    calls = [call for m in messages for call in calls_of(m)]
    assert all(isinstance(call["arguments"], dict) for call in calls), calls
    text = render(row, QWEN_FORM)
    written = [json.loads(block) for block in re.findall(r"<tool_call>\n(.*?)\n</tool_call>", text, re.S)]
    assert written == calls, f"{written} was rendered of {calls}"
    tools = re.search(r"<tools>\n(.*?)\n</tools>", text, re.S)
    assert [json.loads(line) for line in tools[1].split("\n")] == row["tools"]
    several = any(len(calls_of(m)) > 1 for m in messages)
    for name, template in templates.items():
        if several and not SHIPPED[name]:
            continue
        text = render(row, template)
        for call in calls:
            twice = json.dumps(json.dumps(call["arguments"]))
            assert call["name"] in text and twice not in text, f"{name}: {call} in\n{text}"
        for message in messages:
            assert message["role"] != "user" or message["content"].strip() in text, f"{name}: {message}"


def dataset(folder: Path) -> None:
    templates = shipped()
    print(f"rendered by the Qwen form {' '.join(templates)}")
    for name in ["sft", "rl"]:
        file = folder / "data" / f"{name}.jsonl"
        if not file.exists():
            print(f"{folder}: there is no {name}")
            continue
        written = [json.loads(line) for line in file.open()]
        # A cache of its own: the shared one knows a dataset by its folder's last name, and would give another's rows.
        with tempfile.TemporaryDirectory() as cache:
            rows = load_dataset(str(folder.resolve()), name, split="train", cache_dir=cache, keep_in_memory=True)
        assert len(rows) == len(written) > 0, f"{file} has {len(written)} rows, {len(rows)} were loaded"
        for row, line in zip(rows, written, strict=True):
            assert row == line, f"{file}: {line} was loaded as {row}"
            tools_are_typed(row["tools"])
            if name == "sft":
                dialogue(row, templates)
            else:
                assert isinstance(json.loads(row["task"]), dict)
                text = render(row, QWEN_FORM, "prompt", add_generation_prompt=True)
                assert text.endswith("<|im_start|>assistant\n"), text
        print(f"{folder}: {name}, {len(rows)} rows")


def tools_are_typed(tools: list[dict]) -> None:
    for tool in tools:
        assert tool["type"] == "function", tool
        function = tool["function"]
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", function["name"]) and isinstance(function["description"], str), tool
        parameters = function["parameters"]
        assert parameters["type"] == "object", tool
        assert set(parameters.get("required", [])) <= set(parameters["properties"]), tool
        for name, schema in parameters["properties"].items():
            # A schema that says nothing takes every value.
            assert "type" in schema or not set(schema) - {"default", "description"}, f"{tool}: {name} has no type"


def fine_tuning(file: Path) -> None:
    lines = [json.loads(line) for line in file.open()]
    assert lines, f"{file} is empty"
    for line in lines:
        assert set(line) <= {"messages", "tools", "parallel_tool_calls"}, sorted(line)
        tools_are_typed(line.get("tools", []))
        several = False
        unanswered: list[str] = []
        known: set[str] = set()
        for message in line["messages"]:
            role = message["role"]
            if role == "tool":
                assert set(message) == {"role", "content", "tool_call_id"}, message
                unanswered.remove(message["tool_call_id"])
                continue
            assert not unanswered, f"{unanswered} have no result before {message}"
            assert role in {"system", "user", "assistant"}, message
            calls = message.get("tool_calls", [])
            assert role == "assistant" or not calls, message
            assert isinstance(message.get("content"), str) or calls, message
            assert set(message) <= {"role", "content", "tool_calls"}, message
            several = several or len(calls) > 1
            for call in calls:
                assert call["type"] == "function" and call["id"] not in known, call
                known.add(call["id"])
                unanswered.append(call["id"])
                assert isinstance(json.loads(call["function"]["arguments"]), dict), call
        assert line["messages"][-1]["role"] == "assistant", line["messages"][-1]
        assert line.get("parallel_tool_calls", several) == several, line
    print(f"{file}: {len(lines)} examples")


def check(folder: Path) -> None:
    tuning = folder / "train.jsonl"
    if tuning.exists():
        fine_tuning(tuning)
    else:
        dataset(folder)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for argument in sys.argv[1:]:
        check(Path(argument))
