"""Check all files at once, fix those with errors once, check those again, and report."""
files = inputs["files"]
reports = gather({path: spawn("check_code", {"code": code}, label=path) for path, code in files.items()})
broken = {path: r["errors"] for path, r in reports.items() if not r["ok"]}

rechecks = {}
for path, errors in broken.items():
    fixed = spawn("fix_code", {"code": files[path], "errors": errors})
    rechecks[path] = spawn("check_code", {"code": fixed["code"]})

after = gather(rechecks, on_error="none")
lines = []
for path in sorted(files):
    if path not in broken:
        status = "clean"
    elif after[path] and after[path]["ok"]:
        status = "fixed"
    else:
        status = f"{len(after[path]['errors']) if after[path] else '?'} left"
    lines.append(f"{path:<8}{len(broken.get(path, [])):>3}  {status}")
result = "\n".join(lines)
