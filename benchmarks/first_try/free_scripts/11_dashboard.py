vendors = inputs["vendors"]
rows = gather({v: spawn("research", {"vendor": v}, retry=1, fallback="archive") for v in vendors}, on_error="none")

name_w = max(map(len, vendors + ["Vendor"]))
header = f"{'Vendor':<{name_w}} | {'Conf.':>6} | {'Source':^9} | Bar"
lines = [header, "-" * len(header)]
for v, r in sorted(rows.items(), key=lambda kv: -(kv[1] or {"confidence": -1})["confidence"]):
    if r is None:
        lines.append(f"{v:<{name_w}} | {'--':>6} | {'none':^9} |")
        continue
    bar = "#" * round(r["confidence"] * 20)
    lines.append(f"{v:<{name_w}} | {r['confidence']:>6.1%} | {r['source']:^9} | {bar:<20}")

known = [r["confidence"] for r in rows.values() if r]
lines.append("=" * len(header))
lines.append(f"{'Average':<{name_w}} | {sum(known) / len(known):>6.1%} |" if known else "No data")
result = "\n".join(lines)
