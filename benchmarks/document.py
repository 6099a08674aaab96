"""Tables in documents, between markers."""

from pathlib import Path


def put_between_markers(path: Path, part: str, text: str) -> None:
    """Replace what is between a part's markers; raises ValueError if the file has none."""
    begin, end = f"<!-- {part}: begin -->", f"<!-- {part}: end -->"
    whole = path.read_text("utf-8")
    head, found, rest = whole.partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"expected {begin} and {end} in {path}")
    path.write_text(f"{head}{begin}\n\n{text}\n\n{end}{tail}", "utf-8")
