"""Find the modules of the standard library that are hardest to change, and say why.

First pass: one agent per module, all at once: how tangled is it, and what does it import?
Only when all are back is it known who imports whom. Second pass: where tangled code meets many
dependents, look inside (worst functions, copied code) and outside (who uses which names). Modules
that could not be measured, or of which the source tells little, are looked at from outside only.
"""

from math import sqrt

TOP = inputs.get("top", 8)
MOST_REASONS = 5
WIDELY_USED = inputs.get("widely_used", 20)


def percent(part, whole):
    return round(100 * part / whole) if whole else 100


def count(number, noun):
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def importers_of(measured):
    """Turn "what do I import" of each module around into "who imports me"."""
    importers = {}
    for name, facts in measured.items():
        for imported in facts["imports"]:
            importers.setdefault(imported, []).append(name)
    return importers


def pressure(facts, dependents):
    """Tangled code hurts more the more modules would notice a mistake in it."""
    return facts["excess"] * sqrt(1 + dependents)


def reasons(facts, inside, outside, dependents):
    """Say in words why this module is hard to change, the weightiest first."""
    worst = facts["worst"][0]
    found = [
        f"{worst['name']} has {worst['complexity']} ways through it in {worst['lines']} lines, "
        f"nested {worst['depth']} deep ({worst['place']})"
    ]
    if facts["tangled"] > 1:
        found.append(f"{facts['tangled']} of its {facts['functions']} functions have more than 10 ways through them")
    if outside is not None and outside["names_used"]:
        names = ", ".join(item["name"] for item in outside["most_used"][:3])
        found.append(f"{count(outside['names_used'], 'name')} of it used from {count(dependents, 'module')}, most of all {names}")
    if outside is not None and outside["private"]:
        names = ", ".join(item["name"] for item in outside["private"][:3])
        found.append(f"its private names are used from {count(outside['private_users'], 'module')} ({names})")
    if outside is not None and outside["heirs"]:
        found.append(f"classes in {', '.join(outside['heirs'][:4])} inherit from it")
    if inside is not None:
        crowded = max(inside["functions"], key=lambda function: function["locals"] + function["parameters"])
        variables = crowded["locals"] + crowded["parameters"]
        if variables > 20:
            found.append(f"{crowded['name']} juggles {variables} variables and leaves at {count(crowded['exits'], 'place')}")
        if inside["copied_lines"] >= 10:
            first, second = inside["copies"][0]["places"][:2]
            found.append(f"{inside['copied_lines']} lines are copies of others in it, such as {first} and {second}")
    if facts["broad_excepts"] > 5:
        found.append(f"{facts['broad_excepts']} handlers catch every exception")
    documented = percent(facts["documented"], facts["public"])
    if documented < 50:
        found.append(f"only {documented} % of its {facts['public']} public functions and classes say what they do")
    if facts["globals_rebound"] > 2:
        found.append(f"{facts['globals_rebound']} module globals are rebound by functions")
    return found[:MOST_REASONS]


# --- first pass: every module at once ---

library = spawn("list_modules", {}).result()
handles = {name: spawn("measure", {"module": name}, label=name) for name in inputs.get("modules", library["modules"])}
gather(handles, on_error="none")

measured = {name: handle.result() for name, handle in handles.items() if handle.ok}
failed = {name: handle.error for name, handle in handles.items() if not handle.ok}
importers = importers_of(measured)
dependents = {name: len(importers.get(name, [])) for name in handles}
log(f"first pass: {len(measured)} measured, {len(failed)} failed")

# --- second pass: only where the first shows a need ---

ranked = sorted(measured, key=lambda name: pressure(measured[name], dependents[name]), reverse=True)
hardest = ranked[:TOP]
blind = [name for name in measured if measured[name]["blind_spots"] and dependents[name] >= WIDELY_USED]
from_outside = sorted({*hardest, *blind, *failed})

insides = {}
for name in hardest:
    places = [function["place"] for function in measured[name]["worst"][:3]]
    insides[name] = spawn("dissect", {"module": name, "places": places}, label=f"inside {name}")
outsides = {}
for name in from_outside:
    if importers.get(name):
        wanted = {"module": name, "importers": importers[name]}
        outsides[name] = spawn("blast_radius", wanted, label=f"outside {name}")

for done in as_completed([*insides.values(), *outsides.values()]):
    if not done.ok:
        log(f"second pass: {done.label} failed: {done.error}")


def output(handles, name):
    """The second pass is worth having, not worth failing for."""
    handle = handles.get(name)
    return handle.result() if handle is not None and handle.ok else None


# --- the report ---

report = []
for rank, name in enumerate(hardest, start=1):
    facts = measured[name]
    report.append({
        "rank": rank,
        "module": name,
        "score": round(pressure(facts, dependents[name])),
        "code_lines": facts["code_lines"],
        "imported_by": dependents[name],
        "why": reasons(facts, output(insides, name), output(outsides, name), dependents[name]),
    })

calm = [name for name in measured if dependents[name] >= WIDELY_USED and measured[name]["tangled"] == 0]
unsure = []
for name in sorted(blind, key=lambda name: -dependents[name]):
    outside = output(outsides, name)
    unsure.append({
        "module": name,
        "imported_by": dependents[name],
        "blind_spots": measured[name]["blind_spots"][:2],
        "names_used": outside["names_used"] if outside else None,
    })

result = {
    "python": library["python"],
    "modules": len(handles),
    "code_lines": sum(facts["code_lines"] for facts in measured.values()),
    "functions": sum(facts["functions"] for facts in measured.values()),
    "tangled_functions": sum(facts["tangled"] for facts in measured.values()),
    "hardest": report,
    "widely_used_and_simple": sorted(calm, key=lambda name: -dependents[name]),
    "source_tells_little": unsure,
    "not_measured": [
        {"module": name, "why": str(error), "used_by": sorted(importers.get(name, []))} for name, error in failed.items()
    ],
    "looked_at_twice": len(insides) + len(outsides),
}
