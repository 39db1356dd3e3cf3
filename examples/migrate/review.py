"""Look at every vendor at once; hand on those that are listed or have many complaints."""

known = {v: spawn("research", {"vendor": v}, retry=1) for v in inputs["vendors"]}
listed = {v: spawn("sanctions", {"vendor": v}, retry=1) for v in inputs["vendors"]}
known, listed = gather(known), gather(listed)

result = [
    {"vendor": v, "listed": listed[v]["listed"], "complaints": known[v]["complaints"]}
    for v in sorted(known, key=lambda v: (not listed[v]["listed"], -known[v]["complaints"]))
    if listed[v]["listed"] or known[v]["complaints"] > 10
]
