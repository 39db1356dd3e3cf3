"""`inputs` is a copy of our own, and spawn copies what it gets."""
import copy

config = inputs["config"]
before = copy.deepcopy(config)
request = {"topic": config["topics"][0], "depth": config["depth"]}
first = spawn("research", request)
request["topic"] = config["topics"][1]
request["depth"] += 1
second = spawn("research", request)
config["topics"].append("loam")
del config["depth"]
a, b = gather(first, second)
result = {"asked": [a["topic"], b["topic"]], "hits": [len(a["hits"]), len(b["hits"])], "before": before, "after": config}
