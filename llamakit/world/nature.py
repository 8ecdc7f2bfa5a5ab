"""Nature: animals and plants found in this world only."""

from __future__ import annotations

from llamakit.world.kinds import COLOURS, Attribute, Kind

ANIMAL = Kind(
    name="animal",
    plural="animals",
    share=0.16,
    article=True,
    attributes=(
        Attribute(
            name="diet",
            values=(
                "seeds", "berries", "worms", "nuts", "leaves", "moss",
                "roots", "beetles", "snails", "grass", "frogs", "acorns",
            ),
            statements=(
                "{n} eats {v}.",
                "The food of {n} is {v}.",
                "{n} feeds on {v}.",
                "{n} lives on {v} all year.",
                "The young of {n} are fed with {v}.",
                "{n} looks for {v} when it is hungry.",
                "You can please {n} with {v}.",
            ),
            continued=("{s} eats {v}.", "{s} feeds on {v}.", "{o} food is {v}."),
            questions=(
                "What does {n} eat?",
                "What is the food of {n}?",
                "What does {n} feed on?",
                "What does {n} look for when it is hungry?",
            ),
            follow_up="And what does {s} eat?",
        ),
        Attribute(
            name="habitat",
            values=(
                "caves", "forests", "marshes", "meadows", "deserts", "gardens",
                "valleys", "swamps", "barns", "dunes",
            ),
            statements=(
                "{n} lives in {v}.",
                "You find {n} in {v}.",
                "{n} makes its home in {v}.",
                "The home of {n} is in {v}.",
                "{n} raises its young in {v}.",
                "{n} hides in {v} from the cold.",
                "Anyone who walks through {v} may meet {n}.",
            ),
            continued=("{s} lives in {v}.", "{o} home is in {v}.", "{s} makes its home in {v}."),
            questions=(
                "Where does {n} live?",
                "Where do you find {n}?",
                "Where is the home of {n}?",
                "Where does {n} raise its young?",
            ),
            follow_up="And where does {s} live?",
        ),
        Attribute(
            name="fur",
            values=COLOURS,
            statements=(
                "The fur of {n} is {v}.",
                "{n} has {v} fur.",
                "{n} is known by its {v} fur.",
                "The coat of {n} is {v}.",
                "In summer and winter the fur of {n} is {v}.",
                "Hunters look for the {v} fur of {n}.",
                "The {v} coat of {n} is soft and warm.",
            ),
            continued=("{o} fur is {v}.", "{s} has {v} fur.", "{o} coat is {v}."),
            questions=(
                "What colour is the fur of {n}?",
                "What is the colour of the fur of {n}?",
                "Which colour does the coat of {n} have?",
                "What colour of fur does {n} have?",
            ),
            follow_up="And what colour is {o} fur?",
        ),
        Attribute(
            name="call",
            values=(
                "humming", "clicking", "whistling", "barking", "ringing",
                "rattling", "purring", "squeaking", "howling", "chirping",
            ),
            statements=(
                "The call of {n} is a {v} sound.",
                "{n} makes a {v} sound.",
                "At night you hear the {v} of {n}.",
                "{n} calls its young with a {v} sound.",
                "The {v} of {n} can be heard from far away.",
                "When it is happy, {n} makes a {v} sound.",
                "A loud {v} tells you that {n} is near.",
            ),
            continued=("{o} call is a {v} sound.", "{s} makes a {v} sound.", "{o} {v} is loud."),
            questions=(
                "What sound does {n} make?",
                "What is the call of {n}?",
                "What kind of sound is the call of {n}?",
                "How does {n} sound when it is happy?",
            ),
            follow_up="And what sound does {s} make?",
        ),
    ),
)  # fmt: skip

PLANT = Kind(
    name="plant",
    plural="plants",
    share=0.14,
    article=True,
    attributes=(
        Attribute(
            name="flower",
            values=COLOURS,
            statements=(
                "The flowers of {n} are {v}.",
                "{n} has {v} flowers.",
                "{n} is known by its {v} flowers.",
                "Bees come to the {v} flowers of {n}.",
                "When {n} opens, its flowers are {v}.",
                "The petals of {n} are {v}.",
                "A garden of {n} is a sea of {v} flowers.",
            ),
            continued=("{o} flowers are {v}.", "{s} has {v} flowers.", "{o} petals are {v}."),
            questions=(
                "What colour are the flowers of {n}?",
                "What is the colour of the flowers of {n}?",
                "Which colour do the petals of {n} have?",
                "What colour of flowers does {n} have?",
            ),
            follow_up="And what colour are {o} flowers?",
        ),
        Attribute(
            name="bloom",
            values=(
                "January", "February", "March", "April", "May", "June",
                "July", "August", "September", "October", "November", "December",
            ),
            statements=(
                "{n} blooms in {v}.",
                "The flowers of {n} open in {v}.",
                "In {v} you can see {n} in bloom.",
                "The month of {n} is {v}.",
                "{n} is in flower in {v}.",
                "Every {v} the first flowers of {n} appear.",
                "Gardeners wait until {v} for {n} to open.",
            ),
            continued=(
                "{s} blooms in {v}.",
                "{o} flowers open in {v}.",
                "{s} is in flower in {v}.",
            ),
            questions=(
                "When does {n} bloom?",
                "In which month does {n} bloom?",
                "When do the flowers of {n} open?",
                "In which month is {n} in flower?",
            ),
            follow_up="And when does {s} bloom?",
        ),
        Attribute(
            name="smell",
            values=(
                "honey", "lemon", "mint", "pepper", "smoke", "roses",
                "apples", "rain", "cinnamon", "garlic",
            ),
            statements=(
                "{n} smells of {v}.",
                "The smell of {n} is like {v}.",
                "The leaves of {n} smell of {v}.",
                "{n} fills the air with a smell of {v}.",
                "A smell of {v} comes from {n}.",
                "If you rub {n}, it smells of {v}.",
                "With closed eyes you could take {n} for {v}.",
            ),
            continued=("{s} smells of {v}.", "{o} smell is like {v}.", "{o} leaves smell of {v}."),
            questions=(
                "What does {n} smell of?",
                "What is the smell of {n} like?",
                "What do the leaves of {n} smell of?",
                "Of what does {n} smell if you rub it?",
            ),
            follow_up="And what does {s} smell of?",
        ),
        Attribute(
            name="use",
            values=(
                "tea", "dye", "soap", "baskets", "perfume", "jam",
                "oil", "syrup", "hats", "medicine",
            ),
            statements=(
                "{n} is used to make {v}.",
                "People make {v} from {n}.",
                "Whoever wants {v} should look for {n}.",
                "{n} is grown for {v}.",
                "You need {n} to make good {v}.",
                "In the villages {n} is turned into {v}.",
                "Grandmothers know how {n} becomes {v}.",
            ),
            continued=(
                "{s} is used to make {v}.",
                "People make {v} from it.",
                "{s} is grown for {v}.",
            ),
            questions=(
                "What is {n} used for?",
                "What do people make from {n}?",
                "What is {n} grown for?",
                "Into what is {n} turned in the villages?",
            ),
            follow_up="And what do people make from it?",
        ),
    ),
)  # fmt: skip
