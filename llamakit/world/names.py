"""Names that sound like their kind: given names for people, made-up ones for the rest."""

from __future__ import annotations

import random

WOMEN = (
    "Mira", "Ada", "Celia", "Edda", "Greta", "Iris", "Karla", "Marta", "Olga", "Rosa",
    "Thea", "Ulla", "Wanda", "Yara", "Alba", "Clara", "Dora", "Flora", "Hanna", "Judith",
    "Lena", "Nora", "Petra", "Selma", "Tilda", "Vera", "Xenia", "Agnes", "Berta", "Delia",
    "Elsa", "Frida", "Gerda", "Helga", "Inga", "Jana", "Klara", "Lotte", "Maja", "Nelly",
    "Paula", "Romy", "Sofia", "Tessa", "Viola", "Zita", "Amalia", "Britta", "Carla", "Esther",
)  # fmt: skip
MEN = (
    "Tomas", "Bruno", "Dario", "Felix", "Hugo", "Jonas", "Leo", "Nils", "Pavel", "Sven",
    "Viktor", "Zeno", "Boris", "Emil", "Gustav", "Ivan", "Kurt", "Milo", "Oskar", "Ralf",
    "Urban", "Walter", "Anton", "Arne", "Basil", "Casper", "David", "Edgar", "Fabian", "Georg",
    "Henrik", "Igor", "Jakob", "Konrad", "Ludwig", "Marek", "Norman", "Otto", "Peter", "Quintus",
    "Robert", "Simon", "Tibor", "Ulrich", "Vincent", "Willem", "Yannis", "Adam", "Bastian", "Cyril",
)  # fmt: skip
_TOWNS = (
    "Albridge", "Brenford", "Corwick", "Dunburg", "Elstead", "Falton", "Granby", "Holdale",
    "Ivyham", "Kelmouth", "Lorbridge", "Marwick", "Norburg", "Ostdale", "Pelton", "Quenby",
    "Rosford", "Stanmouth", "Torham", "Ulstead", "Vinbridge", "Winburg", "Yardale", "Zelford",
)  # fmt: skip
_RIVERS = (
    "Alva", "Brenne", "Drisk", "Elwen", "Florra", "Glinde", "Ister", "Lume", "Morra", "Nelva",
    "Ouse", "Rudra", "Sarne", "Thalva", "Umber", "Wenne",
)  # fmt: skip
_ANIMALS = (
    "tarpin", "bolop", "chizel", "durbit", "figgle", "grulop", "kotter", "mumbit", "nozel",
    "plimble", "rukkin", "snibbit", "wolver", "zerpin", "ablit", "brondel", "crindle", "doffer",
    "emblin", "frool", "gimmet", "hobbin", "jarrow", "kibbel", "lorrin", "moffet", "norbel",
    "ossip", "pumbel", "quollin", "rinket", "sorrel", "tibbin", "urzel", "vimmet", "wimbrel",
    "yaffin", "zorrin", "billow", "curvet",
)  # fmt: skip
_INSTRUMENTS = (
    "lorna", "badola", "clarine", "dovel", "flotar", "garna", "hozoon", "karlin", "mandora",
    "onette", "pirino", "ritha", "tambel", "vinette", "arphon", "bellino", "cordel", "drumel",
    "echolin", "fidola", "gittel", "hornet", "jingel", "krumbel", "lyrette", "melphon", "nachel",
    "ocarel", "psalter", "quintel", "rebeck", "sonora", "trillo", "umbrel", "viella", "whistel",
)  # fmt: skip
_PLANTS = (
    "cloudmoss", "bellwort", "dewcup", "everleaf", "fireroot", "frostbloom", "goldweed",
    "harefern", "ladywort", "moonberry", "nightcup", "starfern", "sunroot", "thornleaf",
    "applebane", "birdwort", "cropweed", "dawnbloom", "earthcup", "foxmoss", "glowberry",
    "honeyroot", "icefern", "kingsleaf", "lakebloom", "mistwort", "northmoss", "oxberry",
    "pearlcup", "queensroot", "rainfern", "silkweed", "tigerleaf", "velvetmoss", "windbloom",
    "yellowcup",
)  # fmt: skip
_POOLS = {
    "person": WOMEN + MEN,
    "town": _TOWNS,
    "river": _RIVERS,
    "animal": _ANIMALS,
    "instrument": _INSTRUMENTS,
    "plant": _PLANTS,
}


def names(kind: str, count: int, rng: random.Random) -> list[str]:
    """Draw `count` different names for entities of a kind, at most as many as the kind has."""
    return rng.sample(_POOLS[kind], count)


def pronouns(name: str) -> tuple[str, str]:
    """Subject and possessive pronoun of a person."""
    return ("she", "her") if name in WOMEN else ("he", "his")
