from collections import Counter
from functools import partial, reduce
import operator
import re
import string

STOP = set("a an and are as at be by for from in is it of on or that the this to was with".split())
strip_punct = str.maketrans("", "", string.punctuation)


def tokenize(text, *, minimum=3):
    words = text.lower().translate(strip_punct).split()
    return [w for w in words if len(w) >= minimum and w not in STOP and not re.fullmatch(r"\d+", w)]


tok = partial(tokenize, minimum=inputs.get("min_length", 4))
fetch = partial(spawn, "read_page", timeout=10, retry=1)

pages = gather([fetch({"url": u}) for u in inputs["urls"]], on_error="none")
mapped = map(lambda p: Counter(tok(p["text"])), filter(None, pages))
totals = reduce(operator.add, mapped, Counter())

common = totals.most_common(inputs.get("top", 10))
longest = max((len(w) for w, _ in common), default=0)
peak = common[0][1] if common else 1
result = {
    "histogram": [f"{w:>{longest}} {'*' * max(1, int(30 * n / peak))} {n}" for w, n in common],
    "vocabulary": len(totals),
    "tokens": sum(totals.values()),
    "unread": [u for u, p in zip(inputs["urls"], pages) if p is None],
}
