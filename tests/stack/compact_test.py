"""compact_test.py POLICY DATASET: turns of demonstrations are read as what they were written from, and a dialogue that is put together
turn by turn, as a rollout is, has the tokens of the policy's chat template."""

import json
import sys
from pathlib import Path

import compact
from transformers import AutoTokenizer


def check(tokenizer, dialogue: list[dict]) -> int:
    """Checks a dialogue, and returns the number of the agent's turns."""
    whole = tokenizer.apply_chat_template(dialogue, return_dict=True)["input_ids"]
    tokens = tokenizer.apply_chat_template(dialogue[:2], return_dict=True)["input_ids"]
    agent = tokenizer.convert_tokens_to_ids(compact.SPEAKERS["agent"])
    turns = 0
    for message in dialogue[2:]:
        if message["role"] != "assistant":
            tokens += compact.heard(tokenizer, message["role"], message["content"])
            continue
        tokens.append(agent)
        own = whole[len(tokens) : whole.index(tokenizer.eos_token_id, len(tokens)) + 1]
        tokens += own
        words, calls = compact.read(tokenizer.decode(own[:-1]))
        written = [(call["function"]["name"], call["function"]["arguments"]) for call in message.get("tool_calls") or []]
        assert (words, calls) == (message.get("content") or "", written), (words, calls, message)
        turns += 1
    assert tokens == whole, tokenizer.decode(tokens)
    return turns


def main() -> None:
    tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
    rows = [json.loads(line) for line in (Path(sys.argv[2]) / "data/sft.jsonl").read_text().splitlines()]
    system = {"role": "system", "content": "parcel desk"}
    turns = [check(tokenizer, [system, *row["messages"][1:]]) for row in rows]
    assert sum(turns) > len(turns) > 0
    for wrong in ("", "find<|agent|>", "<|call|>find parcel", "<|call|>find a=1 a=1", "<|call|>fi nd", '<|call|>find a="x'):
        try:
            raise AssertionError(f"{wrong!r} is read as {compact.read(wrong)}")
        except compact.Unreadable:
            pass
    print(f"ok    compact_test: {len(turns)} dialogues, {sum(turns)} turns of the agent")


main()
