"""The turns of a policy in the compact format: read as words or calls, and the tokens of the turns that it hears.

    <|sys|>parcel desk<|user|>where is 48213<|end|><|agent|><|call|>track parcel=48213<|end|><|result|>moving<|end|>
"""

import json
import re

CALL, END = "<|call|>", "<|end|>"
SPEAKERS = {"user": "<|user|>", "tool": "<|result|>", "agent": "<|agent|>"}
BARE = re.compile(r"[A-Za-z0-9_\-.:/@]+")


class Unreadable(ValueError):
    """A turn that is neither words nor calls."""


def read(turn: str) -> tuple[str, list[tuple[str, dict]]]:
    """Returns a turn's words and its calls, each a tool's name with its arguments.

    The turn is the text up to its `<|end|>`."""
    if any(token in turn for token in ("<|sys|>", END, *SPEAKERS.values())):
        raise Unreadable("a token of another speaker")
    words, *calls = turn.split(CALL)
    if not words and not calls:
        raise Unreadable("an empty turn")
    return words, [read_call(text) for text in calls]


def read_call(text: str) -> tuple[str, dict]:
    """Reads `name key=value key=value`."""
    name, _, rest = text.strip().partition(" ")
    if not re.fullmatch(r"\w+", name):
        raise Unreadable(f"`{name}` is not a tool's name")
    arguments = {}
    while rest := rest.lstrip():
        key, equals, rest = rest.partition("=")
        if not equals or not re.fullmatch(r"\w+", key) or key in arguments:
            raise Unreadable(f"`{key}` is not an argument")
        arguments[key], rest = read_value(rest)
    return name, arguments


def read_value(text: str) -> tuple[object, str]:
    """Reads a value, and returns it with the text after it: a bare word is a string, `#` precedes a number, the rest is JSON."""
    word = text.partition(" ")[0]
    try:
        if BARE.fullmatch(word) and word not in ("true", "false", "null"):
            return word, text[len(word) :]
        if word.startswith("#"):
            return json.loads(word[1:]), text[len(word) :]
        value, end = json.JSONDecoder().raw_decode(text)
        return value, text[end:]
    except ValueError as error:
        raise Unreadable(str(error)) from None


def heard(tokenizer, speaker: str, text: str) -> list[int]:
    """The tokens of a turn of the user or of a tool."""
    return [
        tokenizer.convert_tokens_to_ids(SPEAKERS[speaker]),
        *tokenizer.encode(text, add_special_tokens=False),
        tokenizer.convert_tokens_to_ids(END),
    ]
