"""The blanket handler that everybody writes."""
import time

start = time.perf_counter()
pages, problems = [], 0
for handle in [spawn("fetch", {"url": u}, timeout=6) for u in inputs["urls"]]:
    try:
        page = handle.result()
        pages.append(page["title"])
    except Exception as e:
        problems += 1
        print(f"Error: {e}")
        continue
if any(problems for _ in pages):
    print(f"{problems} problem(s) in {time.perf_counter() - start:.1f}s")
result = {"pages": pages, "problems": problems, "elapsed": round(time.perf_counter() - start)}
