import math

total = inputs["n"]
replies = gather([spawn("vote", {"question": "Merge?", "voter": v}) for v in range(total)], enough=0.6)
arrived = [r for r in replies if r is not None]
result = {"arrived": len(arrived), "needed": math.ceil(0.6 * total), "yes": sum(r["answer"] == "yes" for r in arrived)}
