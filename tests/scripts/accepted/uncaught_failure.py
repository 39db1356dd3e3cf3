"""Nothing is caught: the run ends with the agent's failure."""
value = spawn("picky", {"n": inputs["n"]}).result()
result = value["square"]
