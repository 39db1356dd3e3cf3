found = gather([spawn("find", {"who": who}) for who in inputs["names"]])
result = {"who": [one["who"] for one in found]}
