"""Every phrase into every language, as a table with aligned columns."""
from itertools import product

cells = {}
for phrase, language in product(inputs["phrases"], inputs["languages"]):
    cells[phrase, language] = spawn("translate", {"text": phrase, "language": language})
done = gather(cells)

width = max(len(c["text"]) for c in done.values()) + 2
rows = [" " * 14 + "".join(language.ljust(width) for language in inputs["languages"]).rstrip()]
for phrase in inputs["phrases"]:
    rows.append((phrase.ljust(14) + "".join(done[phrase, lang]["text"].ljust(width) for lang in inputs["languages"])).rstrip())
result = "\n".join(rows)
