"""`then` on a part, and on what another `then` made."""
out = {}
for topic in inputs["topics"]:
    finding = spawn("research", {"topic": topic})
    count = finding["hits"].then(len)
    double = count.then(lambda n: n * 2)
    first = finding["hits"][0].then(lambda hit: f"{hit['title']} ({hit['score']})")
    out[topic] = {"count": count, "double": double, "first": first}
result = gather(out)
