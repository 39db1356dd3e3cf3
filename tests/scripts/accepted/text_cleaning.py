"""Normalise names before they are researched, and decode a message."""
import base64
import string
import unicodedata
from fractions import Fraction


def normalise(name: str) -> str:
    flat = unicodedata.normalize("NFKD", name)
    ascii_only = "".join(c for c in flat if not unicodedata.combining(c))
    words = "".join(c if c in string.ascii_letters + " " else " " for c in ascii_only).split()
    return " ".join(words).casefold()


topics = sorted({normalise(n) for n in inputs["names"]}, key=str.casefold)
findings = gather([spawn("research", {"topic": t}) for t in topics])
message = base64.b64decode(inputs["b64"]).decode("utf-8")
share = Fraction(sum(len(f["hits"]) for f in findings), 12)
result = {"topics": topics, "message": message, "share": str(share), "percent": "%d%%" % round(float(share) * 100)}
