"""Languages as a string enum."""
from enum import Enum


class Language(str, Enum):
    GERMAN = "de"
    JAPANESE = "ja"


handles = {lang.name.lower(): spawn("translate", {"text": inputs["text"], "language": lang}) for lang in Language}
result = {name: h.result()["text"] for name, h in handles.items()}
