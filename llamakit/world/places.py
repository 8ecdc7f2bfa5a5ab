"""Places: the towns and the rivers they lie on."""

from __future__ import annotations

from llamakit.world.kinds import COLOURS, Attribute, Kind

TOWN = Kind(
    name="town",
    plural="towns",
    share=0.14,
    article=False,
    most=24,
    attributes=(
        Attribute(
            name="river",
            values=(),
            refers_to="river",
            statements=(
                "{n} lies on {v}.",
                "The river that flows through {n} is {v}.",
                "The bridges of {n} cross {v}.",
                "Boats reach {n} by {v}.",
                "{n} was built beside {v}.",
                "The water of {n} comes from {v}.",
                "The old part of {n} looks out over {v}.",
            ),
            continued=("{s} lies on {v}.", "{o} river is {v}.", "{o} bridges cross {v}."),
            questions=(
                "On which river does {n} lie?",
                "What river flows through {n}?",
                "Which river do the bridges of {n} cross?",
                "By which river do boats reach {n}?",
            ),
            follow_up="And on which river does {s} lie?",
        ),
        Attribute(
            name="goods",
            values=(
                "glass", "salt", "wool", "pottery", "bells", "paper",
                "silk", "clocks", "lamps", "candles", "ropes", "boots",
            ),
            statements=(
                "{n} is famous for its {v}.",
                "{n} is known for {v}.",
                "People come to {n} to buy {v}.",
                "The workshops of {n} make {v}.",
                "Traders carry {v} from {n} to other towns.",
                "In the shops of {n} you find {v}.",
                "{n} grew rich by selling {v}.",
            ),
            continued=(
                "{s} is famous for its {v}.",
                "{s} is known for {v}.",
                "{o} workshops make {v}.",
            ),
            questions=(
                "What is {n} famous for?",
                "What is {n} known for?",
                "What do the workshops of {n} make?",
                "What do people buy in {n}?",
            ),
            follow_up="And what is {s} famous for?",
        ),
        Attribute(
            name="roofs",
            values=COLOURS,
            statements=(
                "The roofs of {n} are {v}.",
                "{n} has {v} roofs.",
                "Every house in {n} has a {v} roof.",
                "From the hill you see the {v} roofs of {n}.",
                "In {n} all roofs must be {v}.",
                "The houses of {n} are covered with {v} roofs.",
                "Painters like the {v} roofs of {n}.",
            ),
            continued=("{o} roofs are {v}.", "{s} has {v} roofs.", "{o} houses have {v} roofs."),
            questions=(
                "What colour are the roofs of {n}?",
                "What is the colour of the roofs of {n}?",
                "Which colour do the roofs of {n} have?",
                "What colour must roofs be in {n}?",
            ),
            follow_up="And what colour are {o} roofs?",
        ),
        Attribute(
            name="market",
            values=("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
            statements=(
                "The market of {n} is held on {v}.",
                "{n} has its market on {v}.",
                "On {v} people come to the market of {n}.",
                "The market day of {n} is {v}.",
                "In {n} you can go to the market every {v}.",
                "The stalls of {n} are set up on {v}.",
                "The farmers bring their carts to {n} on {v}.",
            ),
            continued=(
                "{o} market is held on {v}.",
                "{s} has a market on {v}.",
                "{o} market day is {v}.",
            ),
            questions=(
                "On which day is the market of {n} held?",
                "When is the market of {n}?",
                "What is the market day of {n}?",
                "On what day can you go to the market in {n}?",
            ),
            follow_up="And when is {o} market?",
        ),
        Attribute(
            name="sight",
            values=(
                "tower", "mill", "lighthouse", "library", "fountain",
                "castle", "theatre", "museum", "temple", "bath house",
            ),
            statements=(
                "The main sight of {n} is its {v}.",
                "Visitors go to {n} to see the {v}.",
                "In the middle of {n} stands a {v}.",
                "{n} is proud of its {v}.",
                "The {v} of {n} is very old.",
                "Many pictures show the {v} of {n}.",
                "You cannot leave {n} without a look at the {v}.",
            ),
            continued=(
                "{o} main sight is a {v}.",
                "{s} is proud of its {v}.",
                "{o} {v} is very old.",
            ),
            questions=(
                "What is the main sight of {n}?",
                "What do visitors see in {n}?",
                "What stands in the middle of {n}?",
                "Which building is {n} proud of?",
            ),
            follow_up="And what is {o} main sight?",
        ),
    ),
)  # fmt: skip

RIVER = Kind(
    name="river",
    plural="rivers",
    share=0.12,
    article=True,
    most=16,
    attributes=(
        Attribute(
            name="source",
            values=(
                "the Grey Hills", "the Long Marsh", "the Ice Lake", "the Pine Forest",
                "the Bear Mountains", "the Stone Valley", "the Moon Hills", "the Deep Moor",
                "the Eagle Rocks", "the Salt Caves",
            ),
            statements=(
                "{n} rises in {v}.",
                "The source of {n} is in {v}.",
                "{n} begins its way in {v}.",
                "The spring of {n} can be seen in {v}.",
                "{n} comes down from {v}.",
                "The first water of {n} comes out of {v}.",
                "To find the start of {n} you must walk to {v}.",
            ),
            continued=("{s} rises in {v}.", "{o} source is in {v}.", "{s} comes down from {v}."),
            questions=(
                "Where does {n} rise?",
                "Where is the source of {n}?",
                "Where does {n} begin?",
                "Where does {n} come down from?",
            ),
            follow_up="And where does {s} rise?",
        ),
        Attribute(
            name="mouth",
            values=(
                "the Amber Sea", "the North Bay", "the Swan Lake", "the Whale Gulf",
                "the Coral Sea", "the Mirror Lake", "the Storm Bay", "the Pearl Gulf",
                "the Dune Lake", "the Silver Sea",
            ),
            statements=(
                "{n} flows into {v}.",
                "{n} ends in {v}.",
                "The mouth of {n} is at {v}.",
                "{n} carries its water to {v}.",
                "At last {n} reaches {v}.",
                "Ships sail from {n} into {v}.",
                "The waters of {n} meet {v}.",
            ),
            continued=("{s} flows into {v}.", "{s} ends in {v}.", "{o} mouth is at {v}."),
            questions=(
                "Where does {n} end?",
                "What does {n} flow into?",
                "Where is the mouth of {n}?",
                "What does {n} reach at last?",
            ),
            follow_up="And where does {s} end?",
        ),
        Attribute(
            name="fish",
            values=("trout", "salmon", "pike", "perch", "carp", "bream", "tench", "sturgeon"),
            statements=(
                "{n} is full of {v}.",
                "In {n} people catch {v}.",
                "The fish of {n} is the {v}.",
                "Many {v} swim in {n}.",
                "The cooks on {n} serve {v}.",
                "Children fish for {v} in {n}.",
                "The nets thrown into {n} come back with {v}.",
            ),
            continued=("{s} is full of {v}.", "{o} fish is the {v}.", "Many {v} swim in it."),
            questions=(
                "Which fish lives in {n}?",
                "What fish do people catch in {n}?",
                "What is the fish of {n}?",
                "What do children fish for in {n}?",
            ),
            follow_up="And which fish lives in it?",
        ),
        Attribute(
            name="bank",
            values=(
                "willows", "poplars", "birches", "beeches", "reeds",
                "ferns", "maples", "chestnuts", "lilies", "hazels",
            ),
            statements=(
                "The banks of {n} are lined with {v}.",
                "{v} grow along {n}.",
                "Along {n} there are many {v}.",
                "The plants on the banks of {n} are {v}.",
                "A walk by {n} leads past {v}.",
                "{n} flows in the shade of {v}.",
                "The birds of {n} build their nests in {v}.",
            ),
            continued=(
                "{o} banks are lined with {v}.",
                "{v} grow along it.",
                "On its banks there are {v}.",
            ),
            questions=(
                "What grows along {n}?",
                "What are the banks of {n} lined with?",
                "Which plants are on the banks of {n}?",
                "In the shade of what does {n} flow?",
            ),
            follow_up="And what grows along it?",
        ),
    ),
)  # fmt: skip
