"""The profiles of one or two corpora as one JSON object, with what changed between them.

corpora      names, in the order given
settings     samples, thresholds and lists that the numbers depend on
profiles     name -> `profile.profile`
differences  for two corpora the headline measures: before, after, change
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def assemble(profiles: Mapping[str, Mapping[str, Any]], settings: Mapping[str, Any]) -> Any:
    """The report of one corpus or two."""
    return {
        "corpora": list(profiles),
        "settings": dict(settings),
        "profiles": dict(profiles),
        "differences": _differences(*profiles.values()) if len(profiles) > 1 else [],
    }


def measures(profile: Mapping[str, Any]) -> dict[str, float | None]:
    """The numbers that two corpora are compared by; shares are of 0-1, None where unknown."""
    lengths, copies = profile["lengths"], profile["copies"]
    found: dict[str, float | None] = {
        key: profile[key] for key in ("documents", "reads", "bytes", "words") if key in profile
    }
    if "tokens" in profile:
        found["tokens"] = profile["tokens"]
        found["bytes_per_token"] = (
            profile["bytes"] / profile["tokens"] if profile["tokens"] else None
        )
    found |= {f"median_{size}": lengths[size]["quantiles"]["0.5"] for size in lengths}
    found["english_share"] = profile["english"]["share"]
    found |= {f"copied_{unit}_share": copies[unit]["share"] for unit in copies}
    found["copied_line_characters_share"] = copies["lines"]["character_share"]
    found["pii_share"] = profile["pii"]["share"]
    found["pii_density"] = profile["pii"]["density"]
    if "toxicity" in profile:
        found["toxic_share"] = profile["toxicity"]["share"]
    for key in ("any_gender", "any_person"):
        found[f"{key}_share"] = profile["pronouns"][key]["share"]
    for rows in (profile["pronouns"]["genders"], profile["pronouns"]["persons"]):
        found |= {f"{name}_share_within": row["share_within"] for name, row in rows.items()}
    found |= {f"{axis}_share": row["share"] for axis, row in profile["identity"].items()}
    return found


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    old, new = measures(before), measures(after)
    found = []
    for key in [*old, *(key for key in new if key not in old)]:
        one, other = old.get(key), new.get(key)
        change = None if one is None or other is None else other - one
        found.append({"measure": key, "before": one, "after": other, "change": change})
    return found
