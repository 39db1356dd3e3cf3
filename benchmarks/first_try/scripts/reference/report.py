from statistics import median

found = gather({vendor: spawn("research", {"vendor": vendor}) for vendor in dict.fromkeys(inputs["vendors"])})
lines = [f"{vendor:<10}{one['confidence']:>6.2f}" for vendor, one in found.items()]
lines.append(f"median {median(one['confidence'] for one in found.values()):.2f}")
result = "\n".join(lines)
