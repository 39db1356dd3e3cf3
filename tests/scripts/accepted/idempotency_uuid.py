"""Give each document an id of our own, and publish it."""
import uuid
from datetime import datetime, timezone

stamp = datetime.now(timezone.utc)
ids = {name: str(uuid.uuid4()) for name in inputs["docs"]}
published = gather(
    [
        spawn("publish", {"title": f"{name} {ids[name][:8]}", "body": f"{name} of {stamp:%Y-%m-%d}"}, scopes=["docs:write"])
        for name in inputs["docs"]
    ]
)
result = {
    "unique": len(set(ids.values())) == len(ids),
    "lengths": [len(i) for i in ids.values()],
    "titles": [p["title"].split()[0] for p in published],
    "year": stamp.year,
}
