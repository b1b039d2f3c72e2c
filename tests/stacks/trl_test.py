"""Rows for TRL, by TRL's own functions: they are conversational, and a chat template renders prompt, completion and tools."""

import os
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"

from datasets import load_dataset
from exported import exported
from served import run
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast
from trl.data_utils import is_conversational, maybe_apply_chat_template

TEMPLATE = (
    "{% for m in messages %}{{ '<|' + m.role + '|>' + (m.content or '') }}"
    "{% if m.tool_calls %}{% for c in m.tool_calls %}{{ '<call>' + c.function.name + (c.function.arguments | tojson) }}{% endfor %}"
    "{% endif %}{{ '<|end|>' }}{% endfor %}{% if tools %}{{ tools | length }}{% endif %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
# The tools stand after the messages only when a whole text is rendered; a prompt must be the beginning of its text.
TOKENIZER = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel({"x": 0}, unk_token="x")))
TOKENIZER.chat_template = TEMPLATE.replace("{% if tools %}{{ tools | length }}{% endif %}", "")


def load(form: str, config: str):
    return load_dataset(str(exported(form)), config, cache_dir=tempfile.mkdtemp(), keep_in_memory=True)["train"]


def prompts_and_completions_are_rendered_with_the_agents_words_alone_in_the_completion():
    table = load("trl", "sft")
    assert len(table) > 0
    for row in table:
        assert is_conversational(row), row
        assert len(row["completion"]) == 1 and row["completion"][0]["role"] == "assistant"
        kept = {"prompt": row["prompt"], "completion": row["completion"], "tools": row["tools"]}
        text = maybe_apply_chat_template(kept, TOKENIZER)
        assert text["prompt"].endswith("<|assistant|>"), text
        for call in row["completion"][0].get("tool_calls") or []:
            assert call["function"]["name"] in text["completion"], text


def prompts_of_grpo_are_rendered_up_to_the_agents_turn():
    table = load("trl", "grpo")
    for row in table:
        assert is_conversational(row) and row["task_id"] and row["task"].startswith("{")
        text = maybe_apply_chat_template({"prompt": row["prompt"], "tools": row["tools"]}, TOKENIZER)
        assert text["prompt"].endswith("<|assistant|>"), text


def preferences_are_rendered_where_the_run_has_some():
    try:
        table = load("dpo", "default")
    except AssertionError as error:
        assert "no exported task has a rollout that passed" in str(error), error
        return
    for row in table:
        kept = {name: row[name] for name in ("prompt", "chosen", "rejected", "tools")}
        assert is_conversational(kept)
        text = maybe_apply_chat_template(kept, TOKENIZER)
        assert text["chosen"] != text["rejected"], text


run(
    prompts_and_completions_are_rendered_with_the_agents_words_alone_in_the_completion,
    prompts_of_grpo_are_rendered_up_to_the_agents_turn,
    preferences_are_rendered_where_the_run_has_some,
)
