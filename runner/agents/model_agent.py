"""One agent that is a model of a vendor's API, whichever vendor's: its connections, its client, an attempt of it.

Not here: a vendor's words (anthropic, openai), the turns of a conversation (model_calls), what goes over the wire
(model_client).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runner.agents import Setting, model_calls
from runner.agents.model_client import BYTES_A_TOKEN, ENVELOPE_BYTES, Connections
from runner.agents.result_schema import Asked
from runner.agents.tools import Tools
from runner.models import Json
from runner.policy.backends.models import DEFAULT_OUTPUT_TOKENS, DEFAULT_TURNS
from runner.policy.model import AgentEntry
from runner.seams import Call


class ModelAgent:
    """One such agent. What a dialogue needs of it is public."""

    def __init__(
        self,
        entry: AgentEntry,
        setting: Setting,
        *,
        vendor: str,
        asked: Asked,
        client: Callable[..., Any],
        dialogue: Callable[[ModelAgent, Call, Any, str], model_calls.Dialogue],
    ) -> None:
        """`vendor`: where the API is unless the policy says otherwise; `client` is the library's class of one;
        `dialogue` begins a conversation: for an attempt, by a client, under a key.
        """
        self.name = entry.name
        self.options = entry.options
        self.max_tokens: int = entry.options.get("max_tokens", DEFAULT_OUTPUT_TOKENS)
        self.asked = asked
        self.tools = Tools(entry, setting)
        self._entry = entry
        self._vendor = vendor
        self._key = model_calls.Key(entry, setting)
        self._base_url: str = entry.options.get("base_url", vendor)
        self._connections = Connections(self._base_url)
        self._make_client = client
        self._dialogue = dialogue
        self._client: Any = None

    async def run(self, call: Call) -> Json:
        key = await self._key.read()
        limit = 2 * call.output_bytes + ENVELOPE_BYTES + BYTES_A_TOKEN * self.max_tokens
        http = await self._connections.client(limit, model_calls.headers_of(call, key))
        if self._client is None:
            # Each setting is said here: what is not, the library takes from the environment. The key is put on where
            # requests are sent (model_client); the library never has it.
            self._client = self._make_client(
                api_key=model_calls.NO_KEY, base_url=self._base_url, max_retries=0, timeout=http.timeout,
                http_client=http,
            )  # fmt: skip
        dialogue = self._dialogue(self, call, self._client.with_options(http_client=http), key)
        turns = self.options.get("max_turns", DEFAULT_TURNS)
        return await model_calls.converse(
            self.name, call, dialogue, self.tools, self.asked, max_turns=turns, max_tokens=self.max_tokens, key=key
        )

    def facts(self) -> dict[str, str]:
        return model_calls.facts_of(self._entry, self.asked, self.tools, self._vendor)

    async def close(self) -> None:
        await self.tools.close()
        await self._connections.close()
