# retry=2: three attempts in all; each vendor retries on its own.
handles = {v: spawn("research", {"vendor": v}, retry=2) for v in inputs["vendors"]}
result = {v: r["confidence"] for v, r in gather(handles).items()}
