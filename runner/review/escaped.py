"""Words of scripts and agents, made fit for each format of a report: nothing of them acts, hides or turns text.

A terminal gets `one_line` as it is; each other function takes any text and returns what its format shows as that
text. Characters that nobody sees (controls, bidirectional marks, joiners, fillers) are told by their number, such as
⟨U+202E⟩: a reviewer has to know of them.

Not here: the one-line remarks of other rooms, where they are removed (printable).
"""

from __future__ import annotations

import html
import re

# Cc without line feed and tab, Cf, Zl, Zp, lone surrogates, private use; then letters and marks that are drawn as
# nothing (Default_Ignorable_Code_Point of Unicode 15), and spaces that are none of ASCII.
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\xa0\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u08e2\u115f\u1160\u1680\u17b4\u17b5"
    "\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ud800-\udfff\ue000-\uf8ff\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufffc\ufffe\uffff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)
# A letter can carry any number of marks, and they are drawn over its neighbours: no writing needs more than two.
_MARKS = "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
_STACKED = re.compile(f"({_MARKS}{{2}}){_MARKS}+")
_ELLIPSIS = "…"
# What begins something in Markdown or in GitHub's dialect of it: anywhere, and where a line begins.
_MARKDOWN = re.compile(r"([\\`*_\[\]#|~$])")
_MARKDOWN_START = re.compile(r"^(\d+(?=[.)](?:\s|$))|(?=[-+=]))(.)")
# Mentions, references and addresses are found in the text as it is shown, so that no escape keeps them from it: a
# space of no width does. Dependabot and Renovate do the same.
_JOINED = re.compile(r"(?i)(@|#|gh-|\bwww(?=\.)|https?:|ftp:|mailto:|xmpp:)(?=\S)")
_BREAK = "\ue000"
_TICKED = re.compile("`([^`\n]+)`")
_CODE_TICKS = re.compile("`+")


def visible(text: str) -> str:
    """Return the text with every character that is not seen told by its number. Line feeds and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return _STACKED.sub(r"\1⟨…⟩", UNSEEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", text.replace("\r\n", "\n")))


def one_line(text: str, limit: int = 0) -> str:
    """Return the text visible and on one line; longer than `limit` characters (0: no limit) is cut."""
    # Cut before it grows: a label may be a megabyte.
    kept = visible(text[: limit + 1] if limit else text).replace("\n", " ").replace("\t", " ")
    return kept[: limit - 1] + _ELLIPSIS if limit and len(kept) > limit else kept


def for_html(text: str) -> str:
    """Return the text for the content or a quoted attribute of an HTML or SVG element."""
    return html.escape(visible(text))


def prose_for_html(text: str) -> str:
    """Return the text likewise, with what stands between two backticks as code: so advice is written."""
    return _TICKED.sub(r"<code>\1</code>", for_html(text))


def for_markdown(text: str, *, begins: bool = True) -> str:
    """Return the text for a line, a list item or a table cell of Markdown: no mark-up, mention, link or HTML of it.

    `begins`: nothing stands before it, so that it could make a list or a rule.
    """
    broken = _JOINED.sub(rf"\1{_BREAK}", one_line(text))
    kept = _MARKDOWN.sub(r"\\\1", html.escape(broken.strip(), quote=False))
    if begins:
        kept = _MARKDOWN_START.sub(r"\1\\\2", kept)
    return kept.replace(_BREAK, "&#8203;")


def code_for_markdown(text: str, limit: int, *, in_table: bool = False) -> str:
    """Return the text as a code span. In a table, a bar is escaped: GitHub takes it out before it reads the span."""
    kept = one_line(text, limit)
    ticks = "`" * (1 + max((len(found) for found in _CODE_TICKS.findall(kept)), default=0))
    if not kept.strip():
        return "` `"
    if in_table:
        kept = kept.replace("\\|", "\\ |").replace("|", "\\|")
    pad = " " if kept[0] in "` " or kept[-1] in "` " else ""
    return f"{ticks}{pad}{kept}{pad}{ticks}"


def fenced(text: str, language: str = "") -> list[str]:
    """Return the lines of a fenced block that nothing in the text ends."""
    kept = visible(text)
    ticks = "`" * max(3, 1 + max((len(found) for found in _CODE_TICKS.findall(kept)), default=0))
    return [f"{ticks}{language}", *kept.split("\n"), ticks]


def for_mermaid(text: str, limit: int) -> str:
    """Return the text for a quoted label: all but letters, digits and spaces stands as an entity code."""
    return "".join(
        letter if letter.isalnum() or letter in " _" else f"#{ord(letter)};" for letter in one_line(text, limit)
    )


def for_dot(text: str, limit: int) -> str:
    """Return the text for a quoted string of DOT, in which no escape sequence is left."""
    return one_line(text, limit).replace("\\", "\\\\").replace('"', '\\"')
