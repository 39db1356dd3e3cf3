"""Go on only if enough of the calls worked."""
handles = [spawn("picky", {"n": n}) for n in inputs["numbers"]]
squares = gather(handles, min_ok=inputs["quorum"])
good = [s["square"] for s in squares if s is not None]
result = {"good": good, "missing": [n for n, s in zip(inputs["numbers"], squares) if s is None]}
