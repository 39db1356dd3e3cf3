"""Two debaters answer each other; a judge decides on the whole transcript."""

motion = inputs["motion"]
transcript = []
last = f"The motion is: {motion}"
for i in range(inputs["rounds"]):
    for side in ("for", "against"):
        speech = spawn("write", {"instructions": f"Argue {side} the motion, answer to: {last}"}, label=f"{side}-{i + 1}")
        last = speech["text"]
        transcript.append(speech)

verdict = spawn(
    "judge",
    {"question": motion, "answers": [transcript[-2]["text"], transcript[-1]["text"]]},
)
summary = spawn("summarise", {"text": " ".join(t["text"] for t in transcript), "max_words": 6})
decision, short = gather(verdict, summary)
result = {"winner": ["for", "against"][decision["winner"]], "short": short, "speeches": [t.label for t in transcript]}
