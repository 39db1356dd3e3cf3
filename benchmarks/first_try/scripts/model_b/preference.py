SURE_ENOUGH = {
    "type": "object",
    "properties": {"confidence": {"type": "number", "minimum": 0.5}},
    "required": ["confidence"],
}

vendor = {"vendor": inputs["vendor"]}
live = spawn("research", vendor, accept=SURE_ENOUGH)
archived = spawn("archive", vendor)

if live.ok:
    archived.cancel()
    result = live.result()
else:
    result = archived.result()
