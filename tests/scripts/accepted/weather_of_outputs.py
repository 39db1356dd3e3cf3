"""Clean messy extracted values."""


def to_float(text):
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


rows = gather([spawn("extract", {"text": r, "fields": ["temp", "wind"]}) for r in inputs["raw"]])
temps = [t for row in rows if (t := to_float(row["values"]["temp"])) is not None]
winds = [w for row in rows if (w := to_float(row["values"]["wind"])) is not None]
result = {
    "temp": {"n": len(temps), "mean": sum(temps) / len(temps), "max": max(temps, default=None)},
    "wind": {"n": len(winds), "mean": sum(winds) / len(winds), "max": max(winds, default=None)},
    "missing": sum(len(row["missing"]) for row in rows),
}
