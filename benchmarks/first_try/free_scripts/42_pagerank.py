from collections import defaultdict

hits = spawn("search", {"topic": inputs["topic"], "limit": inputs.get("limit", 8)}, retry=2).result()["hits"]
frontier = {h["url"] for h in hits}
graph = {}
titles = {h["url"]: h["title"] for h in hits}

for _ in range(inputs.get("rounds", 2)):
    todo = [u for u in sorted(frontier) if u not in graph][:25]
    if not todo:
        break
    pages = gather([spawn("read_page", {"url": u}) for u in todo], on_error="none")
    for u, p in zip(todo, pages):
        graph[u] = set(p["links"]) - {u} if p else set()
        if p:
            titles[u] = p["title"]
            frontier |= graph[u]

nodes = sorted(frontier | set(graph))
N = len(nodes)
rank = dict.fromkeys(nodes, 1 / N) if N else {}
damping = 0.85
for i in range(100):
    new = defaultdict(lambda: (1 - damping) / N)
    for n in nodes:
        new[n] += 0
    dangling = sum(rank[n] for n in nodes if not graph.get(n))
    for n in nodes:
        new[n] += damping * dangling / N
        for target in graph.get(n, ()):
            new[target] += damping * rank[n] / len(graph[n])
    change = sum(abs(new[n] - rank[n]) for n in nodes)
    rank = dict(new)
    if change < 1e-6:
        break

top = sorted(rank.items(), key=lambda kv: kv[1], reverse=True)[:10]
result = [{"rank": i, "url": u, "title": titles.get(u, "?"), "score": f"{s:.4f}"} for i, (u, s) in enumerate(top, start=1)]
