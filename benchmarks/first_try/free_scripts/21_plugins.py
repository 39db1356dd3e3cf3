"""Steps are named in the inputs; each name is looked up in a table of functions."""
STEPS = {}


def step(name, *, needs_text=True):
    def register(fn):
        if name in STEPS:
            raise KeyError(f"duplicate step {name}")
        STEPS[name] = fn
        fn.needs_text = needs_text
        return fn
    return register


@step("draft", needs_text=False)
def do_draft(ctx, **opts):
    return spawn("draft", {"topic": ctx["topic"], "notes": ctx.get("text") or opts.get("notes", "")})["text"]


@step("shorten")
def do_shorten(ctx, words=20):
    return spawn("summarise", {"text": ctx["text"], "words": words})["summary"]


@step("translate")
def do_translate(ctx, to="de"):
    return spawn("translate", {"text": ctx["text"], "to": to}, retry=1)["text"]


@step("upper")
def do_upper(ctx):
    t = ctx["text"]
    return t.upper() if isinstance(t, str) else t.then(str.upper)


@step("tag")
def do_tag(ctx, labels=("tech", "business", "culture")):
    label = spawn("classify", {"text": ctx["text"], "labels": list(labels)})["label"]
    return f"[{label}] {ctx['text']}"


def run(job):
    ctx = {"topic": job["topic"], "text": job.get("text")}
    for spec in job["steps"]:
        name, opts = (spec, {}) if isinstance(spec, str) else (spec["name"], {k: v for k, v in spec.items() if k != "name"})
        fn = STEPS.get(name)
        if fn is None:
            return {"error": f"unknown step {name!r}, known: {', '.join(sorted(STEPS))}"}
        if fn.needs_text and ctx["text"] is None:
            return {"error": f"step {name!r} needs a text"}
        ctx["text"] = fn(ctx, **opts)
    return {"text": ctx["text"]}


result = gather({job["id"]: run(job) for job in inputs["jobs"]}, on_error="none")
