import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_link_of_the_pages_leads_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
    links = [
        (page, link) for page in pages for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
    ]
    assert len(links) > 5
    assert [f"{page.name}: {link}" for page, link in links if not (page.parent / link).exists()] == []


def test_every_command_of_the_readme_is_one() -> None:
    from auharness.cli import VERBS

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    words = re.findall(r"^auharness (\w+)", text, flags=re.MULTILINE)
    assert len(words) > 8 and set(words) <= set(VERBS)
