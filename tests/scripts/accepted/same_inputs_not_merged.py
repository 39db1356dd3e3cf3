"""Identical spawns are separate calls."""
a = spawn("answer", {"question": inputs["question"]})
b = spawn("answer", {"question": inputs["question"]})
both = gather({"a": a, "b": b})
result = {"equal_outputs": both["a"] == both["b"], "same_handle": a == b, "spawns": 300 - limits.spawns_left}
