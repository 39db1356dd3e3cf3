"""Scripts as models write them when they think that waiting needs `await`, and what they should yield."""

from __future__ import annotations

import re
from typing import Any

ASYNCHRONOUS: dict[str, str] = {}
"""The last line of each is a comment with the expected result."""


def scripts(text: str) -> None:
    for part in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        name, _, source = part.partition("\n")
        ASYNCHRONOUS[name] = source


def expected(source: str) -> Any:
    return eval(source.strip().rsplit("# ", 1)[1])


scripts("""
### main with gather and run
import asyncio

async def main():
    results = await asyncio.gather(*[spawn("echo", {"v": v}) for v in range(3)])
    return {"results": results}

result = asyncio.run(main())
# {"results": [{"v": 0}, {"v": 1}, {"v": 2}]}
### a function for each item
import asyncio

async def research(vendor: str) -> dict:
    return await spawn("echo", {"vendor": vendor})

async def main() -> None:
    global result
    found = await asyncio.gather(*(research(v) for v in ["a", "b"]))
    one = await research("c")
    result = [found, one]

if __name__ == "__main__":
    asyncio.run(main())
# [[{"vendor": "a"}, {"vendor": "b"}], {"vendor": "c"}]
### steps that build on each other
import asyncio, json

async def pipeline(n):
    first = await spawn("echo", {"n": n})
    second = await spawn("echo", {"first": first, "text": "t"})
    return second

async def main():
    return await asyncio.gather(pipeline(1), pipeline(2))

result = json.loads(json.dumps(asyncio.run(main())))
# [{"first": {"n": 1}, "text": "t"}, {"first": {"n": 2}, "text": "t"}]
### a condition between the steps
import asyncio

async def check(n):
    first = await spawn("echo", {"n": n})
    if first["n"] > 1:
        again = await spawn("echo", {"again": first["n"]})
        return again
    return first

async def main():
    results = await asyncio.gather(
        *[check(n) for n in (1, 2)]
    )
    return list(results)

result = asyncio.run(
    main()
)
# [{"n": 1}, {"again": 2}]
### tasks and a semaphore
import asyncio

async def limited(sem, n):
    async with sem:
        return await spawn("echo", n)

async def main():
    sem = asyncio.Semaphore(2)
    tasks = [asyncio.create_task(limited(sem, n)) for n in range(4)]
    done = await asyncio.gather(*tasks, return_exceptions=True)
    total = 0
    for task in tasks:
        total += await task
    return [done, total]

loop = asyncio.get_event_loop()
result = loop.run_until_complete(main())
# [[0, 1, 2, 3], 6]
### as completed
import asyncio

async def main():
    seen = []
    handles = [spawn("echo", n) for n in range(3)]
    for coro in asyncio.as_completed(handles):
        seen.append(await coro)
    async for h in as_completed([spawn("echo", "x")]):
        seen.append(await h.result())
    return seen

result = asyncio.run(main())
# [0, 1, 2, "x"]
### errors and sleeping between attempts
import asyncio

async def attempt(agent):
    for n in range(2):
        try:
            return await spawn(agent, {"n": n})
        except Exception as e:
            await asyncio.sleep(1)
            print("again", e)
    return None

async def main():
    return [await attempt("echo"), await attempt("fails")]

result = asyncio.run(main())
# [{"n": 0}, None]
### awaiting at the top
h = spawn("echo", 1)
a = await h
b, c = await gather([spawn("echo", 2), spawn("echo", 3)])
d = [await x for x in [spawn("echo", 4), spawn("echo", 5)]]
e = {k: await spawn("echo", v) for k, v in {"x": 6}.items()}
result = [a, b, c, d, e]
# [1, 2, 3, [4, 5], {"x": 6}]
### methods of a class
import asyncio
from dataclasses import dataclass, field

@dataclass
class Crew:
    log: list = field(default_factory=list)

    async def ask(self, question):
        answer = await spawn("echo", {"q": question})
        self.log.append(question)
        return answer["q"]

    async def run(self, questions):
        out = []
        for q in questions:
            out.append(await self.ask(q))
        return out

async def main():
    crew = Crew()
    return await crew.run(["x", "y"]), crew.log

result = list(asyncio.run(main()))
# [["x", "y"], ["x", "y"]]
### names imported from asyncio
from asyncio import gather, run, Semaphore

sem = Semaphore(3)

async def one(n):
    async with sem:
        return await spawn("echo", n)

async def main():
    return await gather(*map(one, [1, 2]))

result = run(main())
# [1, 2]
### an asynchronous generator
import asyncio

async def stream(ns):
    for n in ns:
        yield await spawn("echo", n)

async def main():
    first = [x async for x in stream([1, 2])]
    second = []
    async for x in stream([3]):
        second.append(x)
    return first + second

result = asyncio.run(main())
# [1, 2, 3]
### a group of tasks
import asyncio

async def fetch(n):
    return await spawn("echo", {"n": n})

async def main():
    async with asyncio.TaskGroup() as tg:
        tasks = [tg.create_task(fetch(n)) for n in range(2)]
    return [t.result()["n"] for t in tasks]

result = asyncio.run(main())
# [0, 1]
### two at once in one line
import asyncio
async def main(): return await asyncio.gather(spawn("echo", "é"), spawn("echo", "ü"))
async def both():
    a, b = await asyncio.gather(main(), main())
    text = f"{await spawn('echo', 'z')}"
    return a + b + [text]
result = asyncio.run(both())
# ["é", "ü", "é", "ü", "z"]
### an optional import in a function
def go():
    import asyncio
    async def inner():
        await asyncio.sleep(0)
        return await asyncio.gather(*[spawn("echo", 1)])
    return asyncio.run(inner())
result = go()
# [1]
### waiting for a while
import asyncio
async def quick(n):
    try:
        return await asyncio.wait_for(spawn("echo", {"n": n}), timeout=5)
    except asyncio.TimeoutError:
        return None
async def main():
    async with asyncio.timeout(9):
        first = await asyncio.wait_for(quick(1), 3)
        results = await asyncio.gather(*[quick(n) for n in (2, 3)], return_exceptions=True)
    handles = [spawn("echo", n) for n in (4, 5)]
    last = await asyncio.gather(*(h.result() for h in handles))
    return [first, [r for r in results if not isinstance(r, Exception)], last]
try:
    result = asyncio.run(asyncio.wait_for(main(), timeout=60))
except asyncio.CancelledError:
    result = "cancelled"
# [{"n": 1}, [{"n": 2}, {"n": 3}], [4, 5]]
### tasks by name
import asyncio as aio
async def facts(topic):
    return await spawn("echo", {"facts": topic})
async def summary(topic):
    found = await facts(topic)
    return await spawn("echo", {"summary": found["facts"]})
async def run_all():
    one = aio.create_task(summary("a"))
    two = aio.create_task(summary("b"))
    first, second = await one, await two
    three = await aio.gather(facts("c"), return_exceptions=True)
    return first, second, three
if __name__ == "__main__":
    loop = aio.new_event_loop()
    result = list(loop.run_until_complete(run_all()))
# [{"summary": "a"}, {"summary": "b"}, [{"facts": "c"}]]
### a lone statement after the import
import asyncio; import json
async def main(): print(json.dumps(await spawn("echo", 1)))
asyncio.run(main()); result = 1
# 1
### values that are no JSON
import asyncio
class Box:
    def __init__(self, v): self.v = v
async def boxed(v):
    got = await spawn("echo", v)
    return Box(got)
async def main():
    boxes = await asyncio.gather(*[boxed(v) for v in "ab"])
    return "".join(b.v for b in boxes)
result = asyncio.run(main())
# "ab"
""")
