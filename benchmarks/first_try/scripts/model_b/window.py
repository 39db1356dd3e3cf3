from itertools import islice

WINDOW = 3

texts = inputs["texts"]
waiting = enumerate(texts)


def start(count: int) -> dict[Handle, int]:
    return {spawn("summarise", {"text": t, "words": 2}): i for i, t in islice(waiting, count)}


summaries = [None] * len(texts)
index_of = start(WINDOW)
for h in as_completed(index_of):
    index_of |= start(1)  # one is done, the next one takes its place
    summaries[index_of[h]] = h.result()["summary"]

result = summaries
