LONG_ENOUGH = {
    "type": "object",
    "properties": {"words": {"type": "integer", "minimum": 4}},
    "required": ["text", "words"],
}

haiku = spawn(
    "draft",
    {"topic": "haiku of rain", "notes": inputs["notes"]},
    accept=LONG_ENOUGH,
    retry=3,
    label="haiku",
)
result = haiku["text"].result()
