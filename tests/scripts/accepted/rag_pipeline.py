"""Search, rerank, read, answer, cite."""

page = spawn("search", {"query": inputs["query"]}).result()
ranked = sorted(page["results"], key=lambda r: r["relevance"], reverse=True)[:2]
bodies = [spawn("fetch", {"url": f"https://docs.example.org/{r['id']}"}) for r in ranked]
context = "\n\n".join(f"[{i}] {b['title']}: {b['body']}" for i, b in enumerate(bodies, start=1))
reply = spawn("answer", {"question": f"What about {inputs['query']}?", "context": context})

answer = reply.result()
citations = [f"[{i}] {b.result()['url']}" for i, b in enumerate(bodies, 1)]
result = {"answer": answer["answer"], "confidence": answer["confidence"], "citations": citations}
