LONG_ENOUGH = {
    "type": "object",
    "properties": {"words": {"type": "integer", "minimum": 4}},
    "required": ["words"],
}

haiku = spawn(
    "draft",
    {"topic": "haiku of rain", "notes": inputs["notes"]},
    accept=LONG_ENOUGH,
    retry=3,  # four drafts in all
)
result = haiku.result()["text"]
