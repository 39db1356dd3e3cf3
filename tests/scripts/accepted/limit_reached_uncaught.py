"""More spawns than the run allows, and nobody catches it."""
handles = [spawn("score", {"item": str(i)}) for i in range(inputs["n"])]
result = gather(handles)
