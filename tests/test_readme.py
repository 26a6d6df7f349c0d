"""What README and docs show is what a user gets: their code runs and prints what stands below."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers.pages import blocks, pages_of, run_page
from helpers.paths import REPOSITORY

import ase_equivar

PAGES = pages_of(REPOSITORY)
SLOW = {"README", "tutorials/phonopy", "tutorials/infrared", "tutorials/field_md"}
SLOW |= {"tutorials/finetuning", "tutorials/screening", "howto/training"}
NOT_RUN = {
    "README": 2,
    "CONTRIBUTING": 1,
    "quickstart": 1,
    "tutorials/finetuning": 3,
    "howto/dielectric": 1,
    "howto/experiments": 1,
    "howto/lammps": 2,
    "howto/torchsim": 1,
    "howto/piezoelectricity": 2,
    "howto/raman": 2,
    "howto/screening": 3,
    "developer/training": 3,
    "developer/one_material": 1,
}
"""How many blocks of a page say that they are not run: a new one has to be entered here."""


def name_of(page: Path) -> str:
    docs = REPOSITORY / "docs"
    return str(page.relative_to(docs if docs in page.parents else REPOSITORY).with_suffix(""))


WITH_CODE = [page for page in PAGES if any(not block.is_sphinx for block in blocks(page))]


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=name_of(page), marks=[pytest.mark.slow] * (name_of(page) in SLOW))
        for page in WITH_CODE
    ],
)
def test_blocks_run_and_print_what_the_page_says(page, tmp_path, monkeypatch) -> None:
    text = page.read_text(encoding="utf-8")
    if "sevenn" in text or "ase-equivar" in text:
        pytest.importorskip("sevenn", reason="forces of the pages are those of the extra sevennet")
    monkeypatch.chdir(tmp_path)
    n_run = run_page(page)
    n_code = sum(one.language not in ("setup", "text") for one in blocks(page) if not one.is_sphinx)
    assert n_run + NOT_RUN.get(name_of(page), 0) >= n_code


def test_blocks_that_are_not_run_say_why() -> None:
    reasons = {
        name_of(page): [block.reason for block in blocks(page) if block.reason is not None]
        for page in WITH_CODE
    }
    assert {page: len(given) for page, given in reasons.items() if given} == NOT_RUN
    assert all(len(reason) > 5 for given in reasons.values() for reason in given)


def test_every_fence_is_seen() -> None:
    """A block that the reader of pages overlooks would never run."""
    for page in PAGES:
        fences = re.findall(r"^ *(?:```|~~~)", page.read_text(encoding="utf-8"), re.MULTILINE)
        n_blocks = sum(block.language != "setup" for block in blocks(page))
        assert len(fences) == 2 * n_blocks, name_of(page)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_named_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", text):
        if target not in ("genindex", "reference/commands.md"):  # made with the site
            assert (page.parent / target).exists(), target
    for file in re.findall(
        r"`((?:examples|docs|tests|benchmarks|tools)/[^`*: ]+\.\w+)[^`]*`", text
    ):
        assert (REPOSITORY / file).is_file(), file


def test_the_version_is_the_same_everywhere() -> None:
    citation = (REPOSITORY / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.*)$", citation, re.MULTILINE) == [ase_equivar.__version__]
    changelog = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## \[?([\d.]+)", changelog, re.MULTILINE)[0] == ase_equivar.__version__


def test_the_readme_has_no_links_that_break_on_a_package_index() -> None:
    """There, links relative to the repository lead nowhere; files are named instead."""
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\((?!https://|#)([^)]*)\)", text) == []


def test_errors_of_frequencies_are_those_of_the_validation_page() -> None:
    """The page is written by a command, the line of the README by hand."""
    page = (REPOSITORY / "docs" / "validation.md").read_text(encoding="utf-8")
    header, row = (
        [cell.strip() for cell in re.search(pattern, page, re.MULTILINE)[0].split("|")]
        for pattern in (r"^\| potential \|.*$", r"^\| sevennet-l3i5 \| measured \|.*$")
    )
    first_gap = header.index("gap: model")
    expected = row[header.index("TO")], row[header.index("corrected")], row[first_gap + 1]
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    found = re.search(r"TO ([\d.]+) %, LO ([\d.]+) %, LO–TO gaps ([\d.]+) % off", readme)
    assert found.groups() == expected
