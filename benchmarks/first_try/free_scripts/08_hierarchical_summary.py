import textwrap

FANOUT = inputs.get("fanout", 3)
CHUNK = inputs.get("chunk_chars", 400)


def chunks(seq, n):
    for i in range(0, len(seq), n):
        yield seq[i:i + n]


def condense(nodes, level=1):
    if len(nodes) == 1:
        return nodes[0], level - 1
    words = 20 + 10 * level
    parents = [
        spawn("summarise", {"text": "\n".join(f"{n}" for n in group), "words": words}, retry=1, label=f"L{level}.{i}")["summary"]
        for i, group in enumerate(chunks(nodes, FANOUT))
    ]
    return condense(parents, level + 1)


leaves = textwrap.wrap(inputs["document"], CHUNK)
bottom = [spawn("summarise", {"text": c, "words": 20}, retry=1, label=f"L0.{i}")["summary"] for i, c in enumerate(leaves)]
root, depth = condense(bottom)
outline, overall = gather((bottom, root))
result = {"summary": overall, "outline": outline, "depth": depth, "chunks": len(leaves)}
