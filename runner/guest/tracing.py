"""Which lines of the script were reached: noted line by line where the host asks for it, told before the last word.

Costs a call for each line, so a live run has none of it. A script that is ended by a limit of memory or stack tells
nothing: there is no room for it.
"""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

from runner.guest.conversation import SCRIPT_FILENAME, Conversation
from runner.guest.wire import Lines, encode_guest

_reached: set[int] = set()


def begin() -> None:
    """Note the lines of the script from here on."""
    sys.settrace(_entered)


def _entered(frame: FrameType, event: str, arg: Any) -> Any:
    if frame.f_code.co_filename != SCRIPT_FILENAME:
        return None
    return _line(frame, event, arg)


def _line(frame: FrameType, event: str, arg: Any) -> Any:
    if event == "line" and frame.f_lineno:
        _reached.add(frame.f_lineno)
    return _line


def tell(conversation: Conversation) -> None:
    """Stop, and tell which lines were reached."""
    sys.settrace(None)
    conversation.pipe.say(encode_guest(Lines(tuple(sorted(_reached)))))
