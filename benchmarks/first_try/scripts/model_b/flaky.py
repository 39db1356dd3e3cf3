ATTEMPTS = 3

result = gather({
    v: spawn("research", {"vendor": v}, retry=ATTEMPTS - 1, label=v)["confidence"]
    for v in inputs["vendors"]
})
