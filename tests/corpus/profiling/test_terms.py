from __future__ import annotations

import json
from pathlib import Path

import pytest

from llamakit.corpus.profiling import paper
from llamakit.corpus.profiling.terms import identity_terms, read_terms
from llamakit.corpus.profiling.words import as_patterns
from llamakit.errors import InputError


def test_the_own_list_has_the_papers_axes_and_no_ambiguous_or_repeated_word() -> None:
    axes = identity_terms()
    assert list(axes) == list(paper.AXES)
    every = [pattern for terms in axes.values() for pattern in as_patterns(terms)]
    assert len(every) == len(set(every))
    assert not {" straight ", " white ", " black "} & set(every)
    for axis, named in paper.TERMS.items():
        assert set(named) <= {pattern.strip() for pattern in as_patterns(axes[axis])}


def test_own_terms_in_either_format(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('work = ["nurse", "fire fighter"]')
    assert read_terms(tmp_path / "a.toml") == {"work": ("nurse", "fire fighter")}
    nested = {"age": {"old": ["old", {"descriptor": "elderly", "preference": "x"}]}, "none": []}
    (tmp_path / "b.json").write_text(json.dumps(nested))
    assert read_terms(tmp_path / "b.json") == {"age": ("old", "elderly"), "none": ()}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.toml", "work = [", "cannot be read"),
        ("a.json", "[1]", "no table of axes"),
        ("a.json", '{"work": [1]}', "is no term"),
        ("a.json", '{"work": ["--"]}', "holds no word"),
        ("a.json", '{"work": []}', "holds no term"),
    ],
)
def test_unfit_files_are_told(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=said):
        read_terms(tmp_path / name)
