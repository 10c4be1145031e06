"""Reading a folder of texts."""

from dataclasses import dataclass
from pathlib import Path


@dataclass
class Document:
    name: str
    title: str
    body: str


def read_document(path):
    """The first line of a file is its title."""
    title, _, body = Path(path).read_text(encoding="utf-8").partition("\n")
    return Document(name=Path(path).stem, title=title.strip(), body=body.strip())


def read_corpus(folder):
    """All texts of *folder*, by name."""
    return {path.stem: read_document(path) for path in sorted(Path(folder).glob("*.txt"))}
