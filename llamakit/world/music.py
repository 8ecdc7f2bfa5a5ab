"""Music: instruments found in this world only."""

from __future__ import annotations

from llamakit.world.kinds import Attribute, Kind

INSTRUMENT = Kind(
    name="instrument",
    plural="instruments",
    share=0.14,
    article=True,
    attributes=(
        Attribute(
            name="material",
            values=(
                "pine", "copper", "brass", "clay", "bone", "bamboo",
                "walnut", "tin", "cherry wood", "stone", "horn", "leather",
            ),
            statements=(
                "{n} is made of {v}.",
                "{n} is built from {v}.",
                "The body of {n} is of {v}.",
                "To build {n} you need {v}.",
                "Makers of {n} work with {v}.",
                "A good {n0} is always made of {v}.",
                "The smell of {v} tells you that {n} is new.",
            ),
            continued=("{s} is made of {v}.", "{s} is built from {v}.", "{o} body is of {v}."),
            questions=(
                "What is {n} made of?",
                "What is {n} built from?",
                "What is the body of {n} made of?",
                "What do you need to build {n}?",
            ),
            follow_up="And what is {s} made of?",
        ),
        Attribute(
            name="occasion",
            values=(
                "weddings", "harvests", "dances", "fairs", "feasts", "parades",
                "birthdays", "races", "markets", "farewells",
            ),
            statements=(
                "{n} is played at {v}.",
                "{n} is heard at {v}.",
                "People bring {n} to {v}.",
                "At {v} somebody always plays {n}.",
                "{n} belongs to {v}.",
                "There are no {v} without {n}.",
                "Players of {n} earn their money at {v}.",
            ),
            continued=("{s} is played at {v}.", "{s} is heard at {v}.", "{s} belongs to {v}."),
            questions=(
                "When is {n} played?",
                "At what is {n} played?",
                "Where do people bring {n}?",
                "At what do players of {n} earn their money?",
            ),
            follow_up="And when is {s} played?",
        ),
        Attribute(
            name="sound",
            values=(
                "rain", "wind", "thunder", "bees", "waves", "birds",
                "crickets", "wolves", "water", "laughter",
            ),
            statements=(
                "{n} sounds like {v}.",
                "The sound of {n} is like {v}.",
                "When you play {n}, you think of {v}.",
                "Listeners say that {n} sounds like {v}.",
                "{n} can be taken for {v} from far away.",
                "The tones of {n} remind people of {v}.",
                "Close your eyes, and {n} becomes {v}.",
            ),
            continued=("{s} sounds like {v}.", "{o} sound is like {v}.", "{o} tones are like {v}."),
            questions=(
                "What does {n} sound like?",
                "What is the sound of {n} like?",
                "What do the tones of {n} remind people of?",
                "What do you think of when you play {n}?",
            ),
            follow_up="And what does {s} sound like?",
        ),
        Attribute(
            name="origin",
            values=(),
            refers_to="town",
            statements=(
                "{n} comes from {v}.",
                "{n} was invented in {v}.",
                "The first {n0} was built in {v}.",
                "The town of {n} is {v}.",
                "The masters of {n} live in {v}.",
                "In {v} every child learns {n}.",
                "{n} was first played in the streets of {v}.",
            ),
            continued=("{s} comes from {v}.", "{s} was invented in {v}.", "{o} town is {v}."),
            questions=(
                "Where does {n} come from?",
                "Where was {n} invented?",
                "In which town was {n} invented?",
                "In which town was the first {n0} built?",
            ),
            follow_up="And where does {s} come from?",
        ),
    ),
)  # fmt: skip
