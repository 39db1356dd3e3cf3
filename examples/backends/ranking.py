"""A plain function that is an agent."""


async def rank(inputs):
    order = sorted(inputs["found"], key=lambda one: (-one["risk"], one["name"]))
    return {"order": [one["name"] for one in order]}
