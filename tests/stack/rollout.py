"""Rollouts for TRL's `rollout_func`: a batch of dialogues on `agoge env serve`, played at once through OpenEnv's own client.

A rollout keeps the tokens as they were sampled; what the user and the tools say is masked. An error of the server or of a checker is
no reward: TRL leaves a rollout whose reward is None out of its group."""

import asyncio
from dataclasses import dataclass, field

import torch
from openenv import GenericEnvClient

import compact

MAX_TURNS, TURN_TOKENS, MAX_TOKENS = 12, 64, 300


@dataclass
class Rollout:
    """One dialogue."""

    env: GenericEnvClient
    prompt: list[int]
    tokens: list[int] = field(default_factory=list)
    mask: list[int] = field(default_factory=list)
    turns: int = 0
    open: bool = True
    reward: float | None = None
    error: str | None = None

    def add(self, tokens: list[int], own: bool) -> None:
        self.tokens += tokens
        self.mask += [int(own)] * len(tokens)


class Rollouts:
    """Plays the tasks that TRL asks for with the trainer's current model."""

    def __init__(self, url: str, tokenizer, temperature: float):
        self.url, self.tokenizer, self.temperature = url, tokenizer, temperature
        self.loop = asyncio.new_event_loop()
        self.clients: list[GenericEnvClient] = []
        self.faults: list[str] = []

    def __call__(self, tasks: list[str], trainer) -> dict:
        """Returns a rollout for each task's id, as TRL takes them."""
        model = trainer.accelerator.unwrap_model(trainer.model)
        was_training = model.training
        model.eval()
        played = self.loop.run_until_complete(self.play(tasks, model))
        model.train(was_training)
        faults = [one.error for one in played if one.error]
        self.faults += faults
        if len(faults) == len(played):
            raise RuntimeError(f"no rollout has a verdict; the first error: {faults[0]}")
        return {
            "prompt_ids": [one.prompt for one in played],
            "completion_ids": [one.tokens for one in played],
            "logprobs": None,
            "env_mask": [one.mask for one in played],
            "verdict": [one.reward for one in played],
        }

    def close(self) -> None:
        """Ends the connections, and so their sessions."""

        async def close() -> None:
            await asyncio.gather(*(client.close() for client in self.clients))

        self.loop.run_until_complete(close())
        self.loop.close()

    async def play(self, tasks: list[str], model) -> list[Rollout]:
        while len(self.clients) < len(tasks):
            self.clients.append(await GenericEnvClient(base_url=self.url).connect())
        played = await asyncio.gather(*(self.begin(*pair) for pair in zip(self.clients, tasks)))
        for _ in range(MAX_TURNS):
            if not (going := [one for one in played if one.open]):
                break
            said = sample(model, self.tokenizer, [one.prompt + one.tokens for one in going], self.temperature)
            await asyncio.gather(*(self.guarded(one, tokens) for one, tokens in zip(going, said)))
        await asyncio.gather(*(self.finish(one) for one in played if one.open))
        return played

    async def begin(self, env: GenericEnvClient, task: str) -> Rollout:
        opened = (await env.reset(task=task)).observation["metadata"]
        dialogue = [{"role": "system", "content": opened["prompt"]}, *opened["messages"]]
        prompt = self.tokenizer.apply_chat_template(dialogue, add_generation_prompt=True, return_dict=True)["input_ids"]
        return Rollout(env, prompt)

    async def guarded(self, one: Rollout, tokens: list[int]) -> None:
        """Takes a turn; an error of the server ends the rollout without a reward."""
        try:
            await self.turn(one, tokens)
        except RuntimeError as error:
            one.open, one.error = False, str(error)

    async def turn(self, one: Rollout, tokens: list[int]) -> None:
        """Gives a sampled turn to the environment, and keeps the answer."""
        one.turns += 1
        one.add(tokens, own=True)
        try:
            if tokens[-1] != self.tokenizer.eos_token_id:
                raise compact.Unreadable("the turn has no end")
            words, calls = compact.read(self.tokenizer.decode(tokens[:-1]))
        except compact.Unreadable:
            return await self.finish(one)
        for name, arguments in calls:
            step = await one.env.step({"type": "call_tool", "tool_name": name, "arguments": arguments})
            one.add(compact.heard(self.tokenizer, "tool", step.observation["result"]), own=False)
        if not calls:
            step = await one.env.step({"type": "say", "text": words})
            if step.done:
                one.open, one.reward = False, step.reward
                return None
            one.add(compact.heard(self.tokenizer, "user", step.observation["reply"]), own=False)
        if len(one.tokens) > MAX_TOKENS:
            return await self.finish(one)
        one.add([self.tokenizer.convert_tokens_to_ids(compact.SPEAKERS["agent"])], own=False)
        return None

    async def finish(self, one: Rollout) -> None:
        """Ends a dialogue that the user has not closed, and takes the verdict on it."""
        one.open = False
        try:
            one.reward = (await one.env.step({"type": "finish"})).reward
        except RuntimeError as error:
            one.error = str(error)


@torch.no_grad()
def sample(model, tokenizer, contexts: list[list[int]], temperature: float) -> list[list[int]]:
    """Samples the next turn after each context, up to and with its end."""
    batch = tokenizer.pad({"input_ids": contexts}, padding_side="left", return_tensors="pt").to(model.device)
    sampled = model.generate(
        **batch, do_sample=True, temperature=temperature, top_k=0, top_p=1.0, max_new_tokens=TURN_TOKENS
    )
    turns = []
    for tokens in sampled[:, batch["input_ids"].shape[1] :].tolist():
        end = tokens.index(tokenizer.eos_token_id) + 1 if tokenizer.eos_token_id in tokens else len(tokens)
        turns.append(tokens[:end])
    return turns
