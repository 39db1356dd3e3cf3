BUDGET_SECONDS = 2

vendors = inputs["vendors"]
handles = {v: spawn("research", {"vendor": v}) for v in vendors}
ready = gather(handles, on_error="none", timeout=BUDGET_SECONDS)

found, late = {}, []
for v in vendors:
    r = ready[v]
    if r is None:
        late.append(v)
    else:
        found[v] = r["confidence"]

result = {"found": found, "late": late}
