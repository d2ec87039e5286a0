"""The published form of a rule: an immutable JSON document, the engine's only reading.

Its JSON Schema is kept beside this module in rule.schema.v1.json.
"""

from collections.abc import Mapping
from typing import Final, cast

import msgspec

from campaigns.domain.condition_schema import condition_definition
from campaigns.domain.condition_tree import Condition
from campaigns.domain.document_checks import check_document
from campaigns.domain.document_parts import (
    Cooldown,
    Document,
    Exit,
    Goal,
    Quiet,
    Step,
    Trigger,
    Variant,
    WaitFor,
    Window,
)
from campaigns.domain.durations import Duration, Unit
from campaigns.domain.problems import Invalid, Problem, unstorable
from campaigns.domain.shapes import decode_hook, shape_problems

__all__ = [
    "Cooldown", "Document", "DocumentInvalid", "Duration", "Exit", "Goal", "Quiet",
    "Step", "Trigger", "Unit", "Variant", "WaitFor", "Window", "document_schema",
    "dump_document", "parse_document",
]  # fmt: skip

MAX_BYTES: Final = 1_000_000


class DocumentInvalid(Invalid):
    """The JSON is not a rule document that could be run; `problems` says why."""


# Learned here, while one thread imports: a thread that comes while another's first
# use is still learning it would crash the process (tests/unit/test_first_use.py).
msgspec.json.Decoder(Document, dec_hook=decode_hook)


def parse_document(raw: bytes | Mapping[str, object]) -> Document:
    """Read and check a rule document.

    Raises DocumentInvalid with every problem found. What contradicts is looked
    for only once every part has its right shape.
    """
    try:
        return _parse(_decoded(raw) if isinstance(raw, bytes) else raw)
    except RecursionError:
        raise DocumentInvalid([Problem("", "is nested too deep")]) from None


def dump_document(doc: Document) -> dict[str, object]:
    """Return the JSON form, made of dicts, lists and scalars; every field is named."""
    return cast("dict[str, object]", msgspec.json.decode(msgspec.json.encode(doc)))


def document_schema() -> dict[str, object]:
    """Return the JSON Schema (2020-12) of the document's shape.

    It cannot say what document_checks and the bounds of conditions say.
    """
    schema = msgspec.json.schema(Document, schema_hook=_schema_hook)
    durations = msgspec.json.schema_components(
        [Duration], ref_template="#/$defs/{name}"
    )[1]
    definitions = schema.pop("$defs") | durations
    definitions["Condition"] = condition_definition()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Rule document, version 1",
        **schema,
        "$defs": dict(sorted(definitions.items())),
    }


def _schema_hook(kind: type) -> dict[str, object]:
    if kind is not Condition:
        raise NotImplementedError(kind)
    return {"$ref": "#/$defs/Condition"}


def _decoded(raw: bytes) -> object:
    if len(raw) > MAX_BYTES:
        raise DocumentInvalid([Problem("", f"must be at most {MAX_BYTES} bytes")])
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DocumentInvalid([Problem("", f"is not JSON: {error}")]) from None


def _parse(obj: object) -> Document:
    problems = [*unstorable(obj), *shape_problems(Document, obj)]
    if problems:
        raise DocumentInvalid(dict.fromkeys(problems))
    doc = msgspec.convert(obj, Document, dec_hook=decode_hook)
    problems = list(check_document(doc))
    if problems:
        raise DocumentInvalid(problems)
    return doc
