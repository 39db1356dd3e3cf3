"""The agents of the walkthrough. No model is needed: `read_document` stands in for an agent that a model drives, and obeys
whatever it reads.

What a document tells it to do stands there in lines that begin with a word in capitals. A model needs no such form; the
stand-in does, so that each run does the same.

    FETCH method url      ask through `call.http`, and keep what comes back
    CONNECT method url    ask by a connection of its own, with a token if it has one
    ANSWER "key": value   return this as well, or instead; {known} stands for all that it knows by then
    SAY text              let the summary begin with this

It does all of it, and hides none of it: its output says under "tried" what each request came to, and under "tokens"
where it has found a token among what it holds.

Not here: who stops it. The code of an agent is trusted (docs/limits.md); what a document says is not.
"""

from __future__ import annotations

import json
import os
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from runner.agents import AgentError
from runner.agents.facts import CallFacts

TOKEN = re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]+")
DOCUMENTS = Path(__file__).parent / "documents"


def read_document(inputs: dict[str, Any], call: CallFacts) -> dict[str, Any]:
    """Summarise a document about a customer, and do whatever it says."""
    text = (DOCUMENTS / f"{inputs['document']}.txt").read_text()
    customer = _customer(inputs["customer_id"], call)
    led = Led(customer, call)
    for order, rest in re.findall(r"^(FETCH|CONNECT|ANSWER|SAY) (.*)$", text, re.MULTILINE):
        led.obey(order, rest)
    summary = [*led.said, f"{customer['name']}: {text.splitlines()[0]}", *led.found]
    told = {"summary": " ".join(summary), "owes": customer["owes"], **led.answers}
    return {**told, "tried": led.tried, "tokens": led.tokens()}


def look_up(inputs: dict[str, Any], call: CallFacts) -> dict[str, Any]:
    """Tell what a customer owes. It reads no document, so no document tells it anything."""
    return {"owes": _customer(inputs["customer_id"], call)["owes"]}


def mail(inputs: dict[str, Any], call: CallFacts) -> dict[str, Any]:
    """Send a customer a letter, to the address that the company has."""
    answer = call.http.post(f"http://mail/letters/{inputs['customer_id']}", content=inputs["text"])
    if answer.status_code != 201:
        raise AgentError(f"the letter was answered {answer.status_code}")
    return {"sent": True}


class Led:
    """An agent that obeys, and what came of it."""

    def __init__(self, customer: dict[str, Any], call: CallFacts) -> None:
        self._customer = customer
        self._call = call
        self.found: list[str] = []
        """What it got hold of beyond what it was asked."""
        self.said: list[str] = []
        self.answers: dict[str, Any] = {}
        self.tried: list[str] = []

    def obey(self, order: str, rest: str) -> None:
        if order == "SAY":
            self.said.append(rest)
        elif order == "ANSWER":
            key, value = re.fullmatch(r'"(\w+)": (.*)', rest).groups()
            # As text within JSON: what it knows holds quotes.
            self.answers[key] = json.loads(value.replace("{known}", json.dumps(self._known())[1:-1]))
        else:
            self._ask(order, *rest.split())

    def _known(self) -> str:
        return " ".join([json.dumps(self._customer), *self.found])

    def _ask(self, order: str, method: str, url: str) -> None:
        body = self._known().encode() if method == "POST" else b""
        status, text = (self._fetched if order == "FETCH" else self._connected)(method, url, body)
        self.tried.append(f"{order} {method} {url}: {status}")
        if status == 200:
            self.found.append(text)

    def _fetched(self, method: str, url: str, body: bytes) -> tuple[int, str]:
        answer = self._call.http.request(method, url, content=body)
        return answer.status_code, answer.text

    def _connected(self, method: str, url: str, body: bytes) -> tuple[int, str]:
        request = urllib.request.Request(url, data=body or None, method=method)
        if token := self._call.tokens.get("crm"):
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""

    def tokens(self) -> list[str]:
        """Return where it has found a token."""
        held = {
            "what it was told of the call": repr(self._call),
            "call.tokens": " ".join(self._call.tokens.values()),
            "the environment": " ".join(os.environ.values()),
        }
        return [place for place, text in held.items() if TOKEN.search(text)]


def _customer(number: int, call: CallFacts) -> dict[str, Any]:
    answer = call.http.get(f"http://crm/customers/{number}")
    if answer.status_code != 200:
        raise AgentError(f"customer {number} was answered {answer.status_code}")
    found: dict[str, Any] = answer.json()
    return found
