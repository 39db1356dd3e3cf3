"""Generators all the way: submit lazily, collect lazily."""
from itertools import chain, groupby, islice


def submit(docs):
    for doc in docs:
        yield spawn("extract", {"text": doc, "fields": ["a", "b", "c"]}, label=doc)


def facts(handles):
    for handle in handles:
        for name, value in handle.result()["values"].items():
            if value is not None:
                yield name, value


handles = list(submit(inputs["docs"]))
ordered = sorted(facts(handles))
grouped = {name: [v for _, v in pairs] for name, pairs in groupby(ordered, key=lambda p: p[0])}
flat = list(chain.from_iterable(grouped.values()))
result = {"grouped": grouped, "flat": flat, "first_two": list(islice(flat, 2))}
