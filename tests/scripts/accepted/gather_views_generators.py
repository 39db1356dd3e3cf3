by_topic = {t: spawn("research", {"topic": t}) for t in inputs["topics"]}
from_values = gather(by_topic.values())
from_generator = gather(h["confidence"] for h in by_topic.values())
from_star = gather(*by_topic.values())
nothing = gather([])
empty = gather({})
result = {
    "same": [f["topic"] for f in from_values] == [f["topic"] for f in from_star] == inputs["topics"],
    "confidences": from_generator,
    "nothing": nothing,
    "empty": empty,
}
