"""Everyday questions without one right answer: recommendations, explanations, small talk."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Topic:
    """A question that several answers fit."""

    name: str
    questions: tuple[str, ...]
    """Ways to ask; the last one is kept for held-out prompts."""
    answers: tuple[tuple[str, str], ...]
    """Answers as (what, why); the key word of an answer is the last word of `what`."""

    def answer(self, index: int, reason: bool) -> str:
        """An answer as a sentence, with or without its reason."""
        what, why = self.answers[index]
        return f"{what}, because {why}." if reason else f"{what}."

    def key(self, index: int) -> str:
        """The word that shows an answer to be this one."""
        return self.answers[index][0].split()[-1].lower()


TOPICS = (
    Topic(
        "cook",
        (
            "What should I cook tonight?",
            "Can you think of a dinner for me?",
            "What is a good dinner?",
        ),
        (
            ("Try a bowl of soup", "it is warm and easy to make"),
            ("You could make pancakes", "everybody likes them"),
            ("Cook some noodles", "they are ready in a short time"),
            ("A plate of mushrooms", "they taste of the forest"),
        ),
    ),
    Topic(
        "hobby",
        ("Which hobby should I begin?", "Can you name a hobby for me?", "What is a nice hobby?"),
        (
            ("You could try rowing", "it makes you strong"),
            ("Begin with chess", "it trains the mind"),
            ("I suggest singing", "it makes people happy"),
            ("Why not try knitting", "you can do it at home"),
        ),
    ),
    Topic(
        "gift",
        ("What can I give my sister?", "Can you help me find a present?", "What is a nice gift?"),
        (
            ("Give her a book", "it lasts for many years"),
            ("A small lamp", "it makes every room friendly"),
            ("You could give a scarf", "the winter is cold"),
            ("Bring some flowers", "they bring joy"),
        ),
    ),
    Topic(
        "rain",
        (
            "What can I do on a rainy day?",
            "It rains. What should I do?",
            "What is good to do in the rain?",
        ),
        (
            ("Read a good book", "you can travel in your mind"),
            ("You could bake bread", "it fills the house with a good smell"),
            ("Play a game", "it is fun with friends"),
            ("Visit the museum", "it is dry and quiet there"),
        ),
    ),
    Topic(
        "sleep",
        (
            "How can I sleep better?",
            "I cannot sleep. What helps?",
            "What is good for a deep sleep?",
        ),
        (
            ("Take a short walk", "fresh air makes you tired"),
            ("Drink warm milk", "it calms the body"),
            ("Read a quiet story", "it calms the mind"),
            ("Go to bed early", "the body likes a fixed time"),
        ),
    ),
    Topic(
        "learn",
        ("How can I learn faster?", "What helps me to learn?", "What is a good way to learn?"),
        (
            ("Explain it to a friend", "you see what you do not know"),
            ("Learn a little every day", "small steps stay in the mind"),
            ("Write it down on paper", "the hand helps the head"),
            ("Sleep enough at night", "the mind works while you rest"),
        ),
    ),
    Topic(
        "garden",
        (
            "What should I plant in my garden?",
            "Can you name a plant for me?",
            "What is easy to grow?",
        ),
        (
            ("Plant some beans", "they grow fast"),
            ("You could grow roses", "they smell good"),
            ("Try a row of carrots", "children like to pull them out"),
            ("Begin with herbs", "you can use them in the kitchen"),
        ),
    ),
    Topic(
        "trip",
        ("Where should we go on Sunday?", "Can you plan a trip for us?", "What is a good trip?"),
        (
            ("Walk up the hill", "you can see far from there"),
            ("Go down to the river", "you can swim and eat there"),
            ("Visit the old castle", "it has many stories"),
            ("Take a boat to the lake", "the water is calm"),
        ),
    ),
    Topic(
        "name",
        (
            "How should I name my cat?",
            "I need a name for my cat.",
            "What is a good name for a cat?",
        ),
        (
            ("Call it Pepper", "it is a short name"),
            ("How about Cloud", "it sounds soft"),
            ("I like the name Button", "it is easy to call"),
            ("You could call it Biscuit", "it is a sweet name"),
        ),
    ),
    Topic(
        "sky",
        (
            "Why is it dark at night?",
            "Can you tell me why nights are dark?",
            "What makes the night dark?",
        ),
        (
            ("At night our side of the earth has no sun", "the earth turns away from it"),
            ("The earth turns away from the light", "it spins once a day"),
        ),
    ),
    Topic(
        "birds",
        ("Why do birds sing?", "Can you tell me why birds sing?", "What makes birds sing?"),
        (
            ("Birds sing to call a partner", "they want to build a nest"),
            ("Birds sing to guard their home", "the song keeps others away"),
        ),
    ),
    Topic(
        "ice",
        ("Why does ice swim on water?", "Can you tell me why ice swims?", "What makes ice swim?"),
        (
            ("Ice swims since it is light", "water grows when it freezes"),
            ("Frozen water takes up more room", "it grows in the cold"),
        ),
    ),
    Topic(
        "bread",
        ("How do I bake bread?", "Tell me how to bake bread.", "What do I need to bake bread?"),
        (
            (
                "First mix flour, water and salt, and then use a hot oven",
                "heat makes the bread rise",
            ),
            ("You need flour, water, salt and yeast", "yeast makes the bread soft"),
        ),
    ),
    Topic(
        "tree",
        (
            "How do I plant a tree?",
            "Tell me how to plant a tree.",
            "What do I need to plant a tree?",
        ),
        (
            (
                "First dig a deep hole, then set the tree and give it water",
                "young roots are thirsty",
            ),
            ("You need a deep hole and a strong stick", "the wind must not bend the tree"),
        ),
    ),
    Topic(
        "knot",
        (
            "How do I tie a boat to a post?",
            "Tell me how to tie up a boat.",
            "What do I need to tie up a boat?",
        ),
        (
            ("First lay the rope around the post, then make a knot", "the water pulls at the boat"),
            ("You need a strong rope", "the wind can be rough"),
        ),
    ),
    Topic(
        "wool",
        ("How do I wash a wool coat?", "Tell me how to wash wool.", "What do I need to wash wool?"),
        (
            ("First fill a bowl with cold water, then add soft soap", "hot water makes wool small"),
            ("You need cold water and a soft hand", "wool does not like to be rubbed"),
        ),
    ),
)  # fmt: skip

SMALL_TALK = (
    Topic(
        "hello",
        ("Hello!", "Good morning!", "Good day to you!"),
        (
            ("Hello, nice to meet you", "a new friend is always welcome"),
            ("Good day, it is nice of you to come", "I like to talk"),
        ),
    ),
    Topic(
        "thanks",
        ("Thank you!", "Thanks for your help.", "That was kind of you."),
        (
            ("You are welcome", "helping is what I am here for"),
            ("It was a pleasure", "you ask good questions"),
        ),
    ),
    Topic(
        "how",
        ("How are you?", "How do you feel today?", "Are you well today?"),
        (
            ("I am well, thank you", "it is a fine day"),
            ("I feel good today", "we have so much to talk about"),
        ),
    ),
    Topic(
        "who",
        ("Who are you?", "What are you?", "Can you say who you are?"),
        (
            ("I am a small helper", "somebody taught me to answer questions"),
            ("I am an assistant", "I like to help people"),
        ),
    ),
)  # fmt: skip
