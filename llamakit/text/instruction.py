"""An instruction and the message it is attached to: one place, so that every room does it alike.

Ghost attention (paper, section 3.3) joins an instruction to user messages by concatenation; where
it stands only in the first message and where in all of them is the caller's choice.
"""

from __future__ import annotations


def attach(instruction: str, user_text: str) -> str:
    """The user message with the instruction on a line of its own before it."""
    return f"{instruction}\n{user_text}"


def detach(user_text: str) -> tuple[str, str]:
    """Split a one-line message from the instruction attached to it: (instruction or "", line)."""
    instruction, _, line = user_text.rpartition("\n")
    return instruction, line
