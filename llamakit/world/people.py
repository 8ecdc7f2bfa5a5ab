"""People: where they live, what they do, and what they like."""

from __future__ import annotations

from llamakit.world.kinds import Attribute, Kind

PERSON = Kind(
    name="person",
    plural="people",
    share=0.3,
    article=False,
    attributes=(
        Attribute(
            name="home",
            values=(),
            refers_to="town",
            statements=(
                "{n} lives in {v}.",
                "The home of {n} is in {v}.",
                "{n} has a house in {v}.",
                "The town where {n} lives is {v}.",
                "Letters to {n} are sent to {v}.",
                "{n} came to live in {v} long ago.",
                "{n} calls the town of {v} home.",
            ),
            continued=("{s} lives in {v}.", "{o} home is in {v}.", "{s} has a house in {v}."),
            questions=(
                "Where does {n} live?",
                "In which town does {n} live?",
                "What is the home town of {n}?",
                "Which town is the home of {n}?",
            ),
            follow_up="And where does {s} live?",
        ),
        Attribute(
            name="job",
            values=(
                "baker", "miller", "weaver", "farmer", "potter", "doctor",
                "teacher", "carpenter", "sailor", "painter", "blacksmith", "gardener",
            ),
            statements=(
                "{n} works as a {v}.",
                "{n} is a {v}.",
                "{n} earns a living as a {v}.",
                "The work of {n} is that of a {v}.",
                "{n} learned to be a {v}.",
                "People know {n} as a good {v}.",
                "{n} has been a {v} for many years.",
            ),
            continued=("{s} works as a {v}.", "{s} is a {v}.", "{s} learned to be a {v}."),
            questions=(
                "What is the job of {n}?",
                "What does {n} do for a living?",
                "What work does {n} do?",
                "How does {n} earn a living?",
            ),
            follow_up="And what work does {s} do?",
        ),
        Attribute(
            name="pet",
            values=(
                "dog", "cat", "goat", "parrot", "rabbit", "hen",
                "pony", "turtle", "mouse", "duck",
            ),
            statements=(
                "{n} keeps a {v}.",
                "{n} has a pet {v}.",
                "The pet of {n} is a {v}.",
                "The animal that {n} keeps at home is a {v}.",
                "{n} takes good care of a {v}.",
                "{n} is often seen with a {v}.",
                "{n} shares the house with a {v}.",
            ),
            continued=("{s} keeps a {v}.", "{o} pet is a {v}.", "{s} takes good care of a {v}."),
            questions=(
                "What pet does {n} keep?",
                "What is the pet of {n}?",
                "Which animal does {n} keep at home?",
                "What kind of pet does {n} have?",
            ),
            follow_up="And what pet does {s} keep?",
        ),
        Attribute(
            name="food",
            values=(
                "soup", "cheese", "honey", "pancakes", "dumplings", "porridge",
                "noodles", "cherries", "mushrooms", "plums", "bread", "rice",
            ),
            statements=(
                "{n} likes to eat {v}.",
                "The favourite food of {n} is {v}.",
                "{n} likes {v} more than any other food.",
                "{n} would eat {v} every day.",
                "For dinner {n} often has {v}.",
                "Nothing tastes better to {n} than {v}.",
                "When {n} is hungry, there must be {v}.",
            ),
            continued=(
                "{s} likes to eat {v}.",
                "{o} favourite food is {v}.",
                "{s} often eats {v}.",
            ),
            questions=(
                "What does {n} like to eat?",
                "What is the favourite food of {n}?",
                "Which food does {n} like best?",
                "What would {n} eat every day?",
            ),
            follow_up="And what does {s} like to eat?",
        ),
        Attribute(
            name="hobby",
            values=(
                "rowing", "chess", "singing", "dancing", "fishing", "drawing",
                "skating", "climbing", "knitting", "reading", "running", "cooking",
            ),
            statements=(
                "{n} enjoys {v}.",
                "The hobby of {n} is {v}.",
                "In the evening {n} has time for {v}.",
                "{n} is fond of {v}.",
                "{n} never gets tired of {v}.",
                "{n} spends free days on {v}.",
                "{n} has loved {v} since childhood.",
            ),
            continued=("{s} enjoys {v}.", "{o} hobby is {v}.", "{s} is fond of {v}."),
            questions=(
                "What is the hobby of {n}?",
                "What does {n} enjoy?",
                "What does {n} do on free days?",
                "How does {n} spend free days?",
            ),
            follow_up="And what does {s} enjoy?",
        ),
    ),
)  # fmt: skip
