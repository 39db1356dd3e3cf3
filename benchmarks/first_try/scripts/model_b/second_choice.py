result = gather({
    v: spawn("research", {"vendor": v}, fallback="archive", label=v)["source"]
    for v in inputs["vendors"]
})
