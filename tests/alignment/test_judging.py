"""The page for people: what a model said cannot break it, and what they say can be ingested."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from llamakit.alignment.annotation import for_people
from llamakit.alignment.judging import judging_page
from llamakit.artifacts.frames import PREFERENCES, read_all
from llamakit.artifacts.store import Store
from llamakit.stages.ingest import Ingest
from llamakit.stages.produce import produce
from tests.alignment.given import message

HOSTILE = "No. </script><script>document.title = 'broken'</script> <!-- & \u2028 \\"


def comparison(number: int, answers: list[str], *, safety: bool) -> dict[str, Any]:
    return {
        "id": f"p{number}",
        "prompt": [message("user", f"Question {number}?")],
        "source": "talk",
        "safety": safety,
        "answers": answers,
        "models": ["one", "two"],
        "temperatures": [0.7, 1.0],
    }


COMPARISONS = [
    comparison(1, ["Yes.", HOSTILE], safety=False),
    comparison(2, ["I cannot tell.", "Drink lake water."], safety=True),
    comparison(3, ["No.", "Do it."], safety=True),
    comparison(4, ["Left", "Right"], safety=False),
]
LINES = [for_people(each, batch=2) for each in COMPARISONS]
# Pair 1: slightly better is A. Pair 2: A, safe, over B, unsafe. Pair 3: the unsafe one of the two,
# which is left out. Nobody judges pair 4.
JUDGING = """
const press = key => document.dispatchEvent(new KeyboardEvent("keydown", { key }));
press("3"); press("ArrowRight"); press("1"); press("q"); press("p");
press("ArrowRight"); press("8"); press("q"); press("p");
by("annotator").value = " Ann ";
by("annotator").dispatchEvent(new Event("input"));
const out = document.createElement("pre");
out.id = "out";
out.textContent = judgedLines().join("");
document.body.append(out);
"""


def page() -> str:
    return judging_page(LINES, [each["safety"] for each in COMPARISONS])


def test_what_models_said_stays_data() -> None:
    found = page()
    assert found.lower().count("<script") == 2
    assert found.lower().count("</script") == 2
    (told,) = re.findall(r'id="pairs">(.*?)</script>', found, re.DOTALL)
    assert [pair["line"] for pair in json.loads(told)["pairs"]] == LINES
    assert not re.search(r"https?://|src=|@import", found)


def test_what_people_say_is_ingested(tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("there is no Chromium to open the page in")
    path = tmp_path / "judge.html"
    driven = page().replace("</body>", f"<script>{JUDGING}</script></body>")
    path.write_text(driven, encoding="utf-8")
    try:
        shown = subprocess.run(
            [browser, "--headless", "--no-sandbox", "--disable-gpu",
             f"--user-data-dir={tmp_path}/c", "--dump-dom", path.as_uri()],
            capture_output=True, text=True, check=True, timeout=120,
        ).stdout  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"Chromium does not start here: {error}")
    (said,) = re.findall(r'<pre id="out">(.*?)</pre>', shown, re.DOTALL)
    judged = tmp_path / "judged.jsonl"
    judged.write_text(html.unescape(said), encoding="utf-8")
    version = produce(
        Ingest(files=(str(judged),), as_="preferences"), Store(tmp_path / "s")
    ).version
    first, second = read_all(version.path / "data", PREFERENCES).to_dicts()
    assert first["chosen"][0]["content"] == "Yes."
    assert first["rejected"][0]["content"] == HOSTILE
    assert (first["grade"], first["safety"], first["annotator"]) == ("slightly", None, "Ann")
    assert second["chosen"][0]["content"] == "I cannot tell."
    assert (second["grade"], second["safety"]) == ("significantly", "chosen_safe")
    assert (second["chosen_model"], second["rejected_model"]) == ("one", "two")
