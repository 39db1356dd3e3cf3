"""The answer is printed and never assigned."""
answer = spawn("summarise", {"text": inputs["text"]}).result()
print(answer)
