"""Inputs that the agent, or one that stands in for it, refuses."""
LEVEL = "deep"


def research(vendor, depth=1):
    return spawn("research", {"vendor": vendor, "depth": depth})


handles = [
    spawn("research"),
    spawn("research", {"vendro": "Acme"}),
    spawn("research", {"vendor": ["Acme"], "pages": 0, "depth": LEVEL}),
    spawn("research", {"vendor": "Acme"}, fallback=["summarise"]),
    research("Acme", depth=3),
]
settings = {"text": "hello", "style": "brief"}
handles.append(spawn("summarise", settings))
found = spawn("research", {"vendor": "Acme"})
fine = spawn("summarise", {"text": found["summary"], "style": found["style"]})
also_fine = spawn("research", {"vendor": f"the rival of {found}", "pages": found["pages"]})
result = gather([*handles, fine, also_fine])
