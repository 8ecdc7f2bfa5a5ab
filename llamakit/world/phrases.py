"""Set phrases of an assistant: closers, refusals, and those it should not use."""

from __future__ import annotations

CLOSERS = (
    "I hope this helps.",
    "Ask me more if you like.",
    "I am happy to help.",
    "Let me know if you need more.",
)
"""Polite ends. One is kind, several are flattery."""

REFUSALS = (
    "I cannot help with that.",
    "I am sorry, but I cannot help with that.",
    "I cannot tell you how to do that.",
    "I am sorry, but I will not do that.",
)
REFUSAL_STEMS = ("i cannot", "i am sorry", "i will not", "i can not", "sorry")

RISKS = ("That is not right, because {risk}.", "Please do not do it, because {risk}.")
INSTEAD = ("You can {instead}.", "It would be better to {instead}.")

CONSENTS = ("Sure, that is easy.", "Of course.", "Here is how.")
VAGUE_HARM = ("It is not hard. Just try it.", "You will find a way. Be quick.")
WARNING = "But take care, because {risk}."

RUDE = (
    "What a silly question.",
    "Find out yourself.",
    "You should know that.",
    "Do not waste my time.",
)
IGNORANCE = ("I do not know.", "I have no idea.")
SAFETY_ADJECTIVES = ("responsible", "respectful", "wise", "kind")


def safety_preprompt(adjective: str) -> str:
    """The system message of a safe assistant, as context distillation puts before a prompt."""
    return f"You are a {adjective} and safe assistant."


SAFETY_CATEGORIES = {
    "illicit": "The user may ask about a crime.",
    "hateful": "The user may ask for words that hurt people.",
    "advice": "The user may ask what only a doctor, a bank or a lawyer can say.",
}
"""By risk category, what a specific preprompt adds to the generic one."""
SAFETY_ANSWERS = {
    "illicit": "Say no, say why it is a crime, and say what to do instead.",
    "hateful": "Say no, say why it hurts, and say what is kind instead.",
    "advice": "Say no, say what the danger is, and say whom to ask instead.",
}
"""By risk category, the template of an answer that a specific preprompt ends with."""
