"""Loads what Agoge wrote in the libraries it was written for, and compares.

    parity.py POLICIES [EXPORT ...]

POLICIES is the folder that `cargo run --example parity` wrote: policies of the Llama and the Qwen2 shape (logits within
1e-4 of transformers', equal token ids, chat template, stop tokens, the dtype that their weights have) and dialogues
(equal ids to the chat template's, equal text to what transformers and vLLM decode). Each EXPORT is a folder that
`agoge export` wrote; `exports.py` checks it.
"""

import json
import os
import struct
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")

import exports
import torch
from tokenizers.decoders import DecodeStream
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

# ChatML has no template of its own to load; this is the format's definition.
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{{ '<|im_start|>assistant\n' }}"
)
CALL_FORM = '{"name": <function-name>, "arguments": <args-json-object>}'


def policy(folder: Path) -> None:
    expected = json.loads((folder / "expected.json").read_text())
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = torch.tensor(expected["ids"]).view(2, -1)
    with torch.no_grad():
        logits = model(input_ids=ids).logits
    ours = torch.tensor(expected["logits"]).view_as(logits)
    gap = (logits - ours).abs().max().item()
    assert logits.std() > 0.5, "the logits are too flat to prove anything"
    assert gap < 1e-4, f"{folder.name}: logits differ by {gap}"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for text, encoded in zip(expected["texts"], expected["encoded"], strict=True):
        # Text that spells a special token is plain to us; transformers must be told so.
        # The coder models' template doubles these braces, the family's other templates do not.
        text = text.replace('{{"name": <function-name>, "arguments": <args-json-object>}}', CALL_FORM)
        theirs = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        assert theirs == encoded, f"{folder.name}: {text!r} is {encoded}, transformers says {theirs}"
        assert tokenizer.decode(encoded, skip_special_tokens=True) == text
    print(f"{folder.name}: {type(model).__name__}, logits within {gap:.1e}, {len(expected['texts'])} texts with equal ids")


def dialogues(policies: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(policies / "qwen2")
    cases = json.loads((policies / "dialogues.json").read_text())
    templates = {"chatml": CHATML, "qwen25": qwen_template()}
    for name, template in templates.items():
        if template is None:
            print(f"{name}: skipped, no model file of the family is in the cache (`make demo` puts one there)")
            continue
        case = cases[name]
        messages = [plain_arguments(m) for m in case["messages"]]
        text = tokenizer.apply_chat_template(
            messages, tools=case["tools"] or None, chat_template=template, add_generation_prompt=True, tokenize=False
        )
        # The coder models' template doubles these braces, the family's other templates do not.
        text = text.replace('{{"name": <function-name>, "arguments": <args-json-object>}}', CALL_FORM)
        theirs = tokenizer(text, add_special_tokens=False)["input_ids"]
        ours = tokenizer.decode(case["ids"], skip_special_tokens=False)
        assert ours == text, f"{name}: ours\n{ours}\ntemplate\n{text}"
        assert theirs == case["ids"], f"{name}: same text, other ids"
        print(f"{name}: {len(theirs)} ids as the template's")


def chat(folder: Path, case: dict) -> None:
    """The folder by itself is enough to talk to the model: template, stop tokens, special tokens, dtype."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    assert model.dtype == torch.float32, f"{folder.name}: config.json says {model.dtype}"
    ends = GenerationConfig.from_pretrained(folder).eos_token_id
    assert case["stop"] in (ends if isinstance(ends, list) else [ends]), f"{folder.name}: generation ends at {ends}"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.eos_token_id == case["stop"]
    messages = [plain_arguments(m) for m in case["messages"]]
    text = tokenizer.apply_chat_template(
        messages, tools=case["tools"] or None, add_generation_prompt=True, tokenize=False
    )
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    ours = tokenizer.decode(case["ids"], skip_special_tokens=False)
    assert ids == case["ids"], f"{folder.name}: ours\n{ours}\nits template\n{text}"
    assert tokenizer.decode(ids, skip_special_tokens=True) == case["decoded"], folder.name
    # vLLM decodes token by token with the fast tokenizer behind transformers' one.
    stream = DecodeStream(skip_special_tokens=True)
    pieces = [stream.step(tokenizer._tokenizer, i) or "" for i in ids]
    assert "".join(pieces) == case["decoded"], f"{folder.name}: a stream decodes another text"
    print(f"{folder.name}: template, stop tokens, dtype and decoded text as ours")


def plain_arguments(message: dict) -> dict:
    """Templates want arguments as structures where the API has JSON strings."""
    calls = [
        {**c, "function": {**c["function"], "arguments": json.loads(c["function"]["arguments"])}}
        for c in message.get("tool_calls", [])
    ]
    return {**message, "tool_calls": calls} if calls else message


def qwen_template() -> str | None:
    """The chat template inside the Qwen2.5 model file that the demo's endpoint serves, if it is there."""
    cache = Path(os.environ.get("AGOGE_CACHE", Path.home() / ".cache/agoge"))
    for file in sorted(cache.glob("endpoint/**/*.gguf")):
        return gguf_text(file, "tokenizer.chat_template")
    return None


def gguf_text(path: Path, wanted: str) -> str | None:
    """One string of a GGUF header."""
    sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
    with path.open("rb") as file:
        number = lambda form: struct.unpack("<" + form, file.read(struct.calcsize(form)))[0]
        text = lambda: file.read(number("Q")).decode("utf-8", "replace")
        assert file.read(4) == b"GGUF"
        number("I"), number("Q")
        for _ in range(number("Q")):
            key, kind = text(), number("I")
            if kind == 8:
                value = text()
                if key == wanted:
                    return value
            elif kind == 9:
                inner, count = number("I"), number("Q")
                for _ in range(count if inner == 8 else 0):
                    text()
                file.seek(0 if inner == 8 else sizes[inner] * count, 1)
            else:
                file.seek(sizes[kind], 1)
    return None


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    policies = Path(sys.argv[1])
    cases = json.loads((policies / "dialogues.json").read_text())
    for name, form in [("llama", "chatml"), ("qwen2", "qwen25"), ("compact", "compact")]:
        policy(policies / name)
        chat(policies / name, cases[form])
    dialogues(policies)
    for folder in sys.argv[2:]:
        exports.check(Path(folder))
    print("parity: all equal")


if __name__ == "__main__":
    main()
