"""A wrapped, numbered report with a table of contents."""
import textwrap
from itertools import zip_longest
from pathlib import PurePosixPath

handles = {
    title: spawn("write", {"instructions": f"{title}: {hint} " + "and so on " * 6}) for title, hint in inputs["sections"].items()
}
bodies = gather(handles)
toc = [f"{n}. {title:.<20}{len(body['text']):>4}" for n, (title, body) in enumerate(bodies.items(), 1)]
pages = []
for title, body in bodies.items():
    underline = "-" * len(title)
    pages.append("\n".join([title, underline, textwrap.fill(body["text"], width=40, subsequent_indent="  ")]))
names = [str(PurePosixPath("out") / f"{t.lower()}.txt") for t in bodies]
columns = [f"{a or '':<26}|{b or ''}" for a, b in zip_longest(toc, ["see", "also"])]
result = {"report": "\n\n".join(pages), "names": names, "columns": columns}
