"""Scores with mean, median and deviation, in an aligned text report."""
import statistics
import textwrap

scores = dict(zip(inputs["topics"], (s["score"] for s in gather([spawn("score", {"item": t}) for t in inputs["topics"]]))))
mean = statistics.mean(scores.values())
median = statistics.median(scores.values())
spread = statistics.pstdev(scores.values())

bars = "\n".join(f"{name:<6}{score:>4} {'#' * (score // 10)}" for name, score in sorted(scores.items(), key=lambda kv: -kv[1]))
report = textwrap.dedent("""\
    Scores
    ======
    {bars}

    mean   {mean:7.2f}
    median {median:7.2f}
    spread {spread:7.2f}
    """).format(bars=bars, mean=mean, median=median, spread=spread)
result = {"report": report, "above": [n for n, s in scores.items() if s > mean]}
