"""The requirements of OWASP ASVS 4.0.3 at levels 1 and 2, by number alone.

Source: github.com/OWASP/ASVS, 4.0/docs_en, "OWASP Application Security Verification
Standard 4.0.3-en.csv", the rows marked for level 1 or 2. Those that version 4.0.3
deleted or merged are marked for none, so they are not here.
"""

# How many requirements a section has, if all of them count.
WHOLE = {
    "1.1": 7, "1.2": 4, "1.5": 4, "1.6": 4, "1.7": 2, "1.8": 2, "1.9": 2, "1.10": 1,
    "1.11": 2, "1.14": 6,
    "2.1": 12, "2.2": 3, "2.3": 3, "2.4": 5, "2.5": 7, "2.6": 3, "2.7": 6, "2.8": 7,
    "2.9": 3, "2.10": 4,
    "3.1": 1, "3.2": 4, "3.3": 4, "3.4": 5, "3.5": 3, "3.7": 1,
    "4.2": 2, "4.3": 3,
    "5.1": 5, "5.2": 8, "5.3": 10, "5.4": 3, "5.5": 4,
    "6.1": 3, "6.2": 6, "6.3": 2, "6.4": 2,
    "7.1": 4, "7.2": 2, "7.4": 3,
    "8.1": 4, "8.2": 3, "8.3": 8,
    "9.1": 3, "9.2": 4,
    "10.2": 2, "10.3": 3,
    "11.1": 8,
    "12.1": 3, "12.2": 1, "12.3": 6, "12.4": 2, "12.5": 2, "12.6": 1,
    "13.3": 2, "13.4": 2,
    "14.1": 4, "14.2": 6, "14.4": 7, "14.5": 4,
}  # fmt: skip
# Those of sections of which some are for level 3 only, or deleted.
IN_PART = {
    "1.4": (1, 4, 5),
    "1.12": (2,),
    "4.1": (1, 2, 3, 5),
    "7.3": (1, 3, 4),
    "13.1": (1, 3, 4, 5),
    "13.2": (1, 2, 3, 5, 6),
    "14.3": (2, 3),
}
SECTIONS = {
    **{section: range(1, last + 1) for section, last in WHOLE.items()},
    **IN_PART,
}
REQUIREMENTS = frozenset(
    f"{section}.{number}" for section, found in SECTIONS.items() for number in found
)


def named(cell: str) -> list[str]:
    """Return the requirements that a cell names: "2.1.1 to 2.1.4, 2.1.9, 2.6".

    A section stands for all of its requirements here. Raises ValueError for what
    cannot be read.
    """
    return [one for part in cell.split(", ") for one in _of(part)]


def _of(part: str) -> list[str]:
    first, _, last = part.partition(" to ")
    section, _, low = first.rpartition(".")
    if last:
        same, _, high = last.rpartition(".")
        if same != section or int(low) >= int(high):
            raise ValueError(f"{part} is no range")
        return [f"{section}.{n}" for n in range(int(low), int(high) + 1)]
    if first in SECTIONS:
        return [f"{first}.{n}" for n in SECTIONS[first]]
    return [first]
