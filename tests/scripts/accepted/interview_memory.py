"""An interview that remembers the last two answers only."""
from collections import deque

memory = deque(maxlen=2)
answers = []
for topic in inputs["topics"]:
    question = f"What about your {topic}?"
    reply = spawn("answer", {"question": question, "context": "\n".join(memory) if memory else None}).result()
    memory.append(f"Q: {question} A: {reply['answer']}")
    answers.append(reply["answer"])
result = {"answers": answers, "memory": list(memory)}
