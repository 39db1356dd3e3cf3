"""All pairs are judged at once; ratings are updated in the order of the pairs."""
import math
from itertools import combinations

ratings = {p: 1000.0 for p in inputs["players"]}
pairs = list(combinations(inputs["players"], 2))
verdicts = gather([spawn("judge", {"question": "Better essay?", "answers": [a, b]}, label=f"{a} vs {b}") for a, b in pairs])
for (a, b), verdict in zip(pairs, verdicts):
    expected = 1 / (1 + math.pow(10, (ratings[b] - ratings[a]) / 400))
    won = verdict["winner"] == 0
    ratings[a] += 32 * (won - expected)
    ratings[b] -= 32 * (won - expected)
result = [[name, round(rating, 1)] for name, rating in sorted(ratings.items(), key=lambda kv: kv[1], reverse=True)]
