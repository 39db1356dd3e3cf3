# ruff: noqa: F821 - a script of runner
found = gather([spawn("find", {"who": who}) for who in inputs["names"]])
result = {"who": [one["who"] for one in found]}
