"""What the documents point at exists, and none of them names somebody's machine."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[2]
DOCS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^(```|~~~).*?^\1", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)")
SOURCE = re.compile(r"\b(?:src|href)=[\"']([^\"']+)[\"']")
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$", re.MULTILINE)
MACHINE = re.compile(
    r"(?<![\w.%-])/(?!opt/emailtriggers/)(?:home|root|Users|work|opt|mnt|srv|private)/\S*"
    r"|\b[A-Za-z]:\\Users\\\S*|file://\S*"
)
PICTURES = {".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp"}
LARGEST_PICTURE_BYTES = 300_000


def targets(text):
    """Return what a document links to, blocks of code left out."""
    prose = FENCE.sub("", text)
    return LINK.findall(prose) + SOURCE.findall(prose)


def anchors(text):
    """Return the anchors of a document's headings, as GitHub makes them."""
    found = set()
    for heading in HEADING.findall(FENCE.sub("", text)):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return found


def leads_somewhere(doc, target):
    """Return whether a relative link names a file of ours, and a heading in it."""
    path, _, anchor = target.partition("#")
    place = (doc.parent / unquote(path)).resolve() if path else doc
    if not place.is_relative_to(ROOT) or not place.exists():
        return False
    return not anchor or anchor in anchors(place.read_text(encoding="utf-8"))


def dead(doc):
    """Return the links of a document that lead nowhere; other sites are not asked."""
    return [
        target
        for target in targets(doc.read_text(encoding="utf-8"))
        if not re.match(r"[a-z][a-z0-9+.-]*:", target)
        and not leads_somewhere(doc, target)
    ]


@pytest.mark.parametrize("doc", DOCS, ids=lambda doc: str(doc.relative_to(ROOT)))
def test_every_link_and_picture_exists(doc):
    assert dead(doc) == []


@pytest.mark.parametrize("doc", DOCS, ids=lambda doc: str(doc.relative_to(ROOT)))
def test_no_document_names_somebodys_machine(doc):
    assert MACHINE.findall(doc.read_text(encoding="utf-8")) == []


def test_the_readme_shows_pictures_and_all_of_them_are_used():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = {Path(t).name for t in targets(readme) if Path(t).suffix in PICTURES}
    kept = list((ROOT / "docs" / "pictures").iterdir())
    used = {
        Path(t).name for doc in DOCS for t in targets(doc.read_text(encoding="utf-8"))
    }
    assert shown
    assert {picture.name for picture in kept} <= used
    assert [p.name for p in kept if p.stat().st_size > LARGEST_PICTURE_BYTES] == []


def test_the_check_itself_finds_what_is_wrong(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    doc = tmp_path / "page.md"
    doc.write_text(
        "# One, two\n[a](gone.md) ![b](gone.png) [c](#one-two) [d](#three)\n"
        '<img src="lost.png"> [e](../outside.md) [f](https://example.com/x)\n'
        "```\n[g](in-code.md)\n```\n"
    )
    assert dead(doc) == ["gone.md", "gone.png", "#three", "../outside.md", "lost.png"]
    assert MACHINE.findall("see /home/ada/x and docs/home/y, http://h/root/z") == [
        "/home/ada/x"
    ]
