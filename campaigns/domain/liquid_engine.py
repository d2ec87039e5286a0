"""python-liquid with its doors closed: strict, bounded, and deaf to files and clocks.

python-liquid bounds loops, output and depth. What it leaves open is closed here:
ranges given to filters or reversed, growth of texts and lists, big numbers,
nodes in blank blocks (they write nothing, so no output limit sees them),
`now` and `today` (they read the machine's clock), a missing value that silently
counts as 0 in arithmetic, and the filter `safe`.
"""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from io import StringIO
from typing import Any, Final, NoReturn, TextIO

from liquid import Environment, Mode, RenderContext, Token, escape
from liquid.builtin.expressions.path import Path
from liquid.builtin.expressions.primitive import Identifier, RangeLiteral
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.echo_tag import EchoNode, EchoTag
from liquid.exceptions import LiquidError
from liquid.output import LimitedStringIO
from liquid.stringify import to_liquid_string
from liquid.template import BoundTemplate
from liquid.undefined import UNDEFINED, Undefined
from liquid.utils import ReadOnlyChainMap

from campaigns.domain.liquid_budget import (
    CHARS_PER_STEP,
    MAX_LOCALS_CHARS,
    MAX_LOOPS,
    MAX_OUTPUT_BYTES,
    MAX_RANGE,
    NODE_CHARS,
    Budget,
    TemplateInvalid,
    check_size,
    weigh,
)
from campaigns.domain.liquid_filters import LOOK_BEFORE, OWN_FILTERS
from campaigns.domain.liquid_output import CountedOutput, MarkedOutput

BROKEN_BY_DATA: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What filters raise, beside LiquidError, for values that do not suit them."""

_ABSENT: Final = object()
_SPECIAL: Final = frozenset({"size", "first", "last"})
_NO_TAGS: Final[list[str]] = []
_CLOSED_TAGS: Final = ("include", "render")
_CLOSED_FILTERS: Final = ("safe", "escapejs")


def line_of(token: Token | None) -> int:
    """Return the line of a token, from 1; 0 if it has no place."""
    if token is None or token.start_index < 0:
        return 0
    return token.source.count("\n", 0, token.start_index) + 1


class Missing(Undefined):
    """What a name is that the facts do not hold, or hold as null.

    False in {% if %}, replaced by `default`, equal to nil; anything else raises
    TemplateInvalid with the line and the name.
    """

    __slots__ = ()

    force_liquid_default = True

    def refuse(self) -> NoReturn:
        """Raise TemplateInvalid: the name was needed."""
        raise TemplateInvalid(
            f"“{self.name}” is missing here. Give a fallback, as in "
            f'{{{{ {self.name} | default: "…" }}}}, or show this part only '
            f"{{% if {self.name} %}}.",
            line=line_of(self.token),
            variable=self.name,
        )

    def __bool__(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return other is None or other is False or isinstance(other, Undefined)

    def __hash__(self) -> int:
        return hash(self.name)

    def __str__(self) -> str:
        self.refuse()

    def __len__(self) -> int:
        self.refuse()

    def __iter__(self) -> Iterator[Any]:
        self.refuse()

    def __getitem__(self, key: object) -> object:
        self.refuse()

    def __int__(self) -> int:
        self.refuse()

    def __reversed__(self) -> Iterator[Any]:
        self.refuse()


class Scope(ReadOnlyChainMap):
    """Where names are looked for; asks each map once, without an exception."""

    def __getitem__(self, key: str) -> object:
        """Return the first map's value of that name; raises KeyError."""
        for mapping in self._maps:
            if key in mapping:
                return mapping[key]
        raise KeyError(key)

    def at(self, path: list[Any]) -> object:
        """Return what names alone lead to through plain groups, as nearly all paths do.

        None is no answer: python-liquid has to look, or to say what is missing.
        """
        found: Any = self
        for name in path:
            if type(name) is not str or name in _SPECIAL:
                return None
            if type(found) is not dict and found is not self:
                return None
            try:
                found = found[name]
            except KeyError:
                return None
        return found


class Context(RenderContext):
    """A rendering that counts its steps and knows no clock."""

    scope: Scope

    def __init__(self, template: "Bounded", **arguments: Any) -> None:
        self.budget = Budget()
        self.step_cost = template.step_cost
        self.local_sizes: dict[str, int] = {}
        super().__init__(template, **arguments)
        # The stock chain has a third map between these, which reads the clock.
        self.scope = Scope(self.locals, self.globals, self.counters)

    @property
    def disabled_tags(self) -> list[str]:
        """Count one node: python-liquid asks this before it renders each."""
        self.budget.spend(self.step_cost)
        return _NO_TAGS

    @disabled_tags.setter
    def disabled_tags(self, tags: list[str]) -> None:
        """Take nothing: no tag is disabled here, unknown ones do not parse."""

    def get(
        self, path: list[object], *, token: Token | None, default: object = UNDEFINED
    ) -> object:
        """Return the value at `path`; absent and null are both Missing."""
        found = super().get(path, token=token, default=_ABSENT)
        if found is not _ABSENT and found is not None:
            return found
        if default is not UNDEFINED:
            return default
        return Missing(dotted(path), token=token)

    def assign(self, key: str, val: object) -> None:
        """Set a local; raises when the locals together grow too large."""
        size = 0 if isinstance(val, Undefined) else check_size(val)
        self.budget.spend(size // CHARS_PER_STEP)
        self.local_sizes[key] = size
        self.locals[key] = val
        if sum(self.local_sizes.values()) > MAX_LOCALS_CHARS:
            raise TemplateInvalid("The values assigned here are too large together.")
        self.budget.spend(len(self.local_sizes) // 16)

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:
        """Return the filter with every check around it."""
        return _guarded(name, super().filter(name, token), self.budget, token)

    def raise_for_loop_limit(self, length: int = 1) -> None:
        """Count a loop's length and its nesting."""
        super().raise_for_loop_limit(length)
        self.budget.spend(length)

    def get_buffer(self, buf: TextIO | None = None) -> StringIO:
        """Return an output that has what `buf` leaves of the limit."""
        used = buf.size if isinstance(buf, LimitedStringIO) else 0
        return CountedOutput(MAX_OUTPUT_BYTES - used, self.budget)

    def marking_buffer(self) -> MarkedOutput:
        """Return an output for the whole that marks each printed text."""
        return MarkedOutput(MAX_OUTPUT_BYTES, self.budget)


class Bounded(BoundTemplate):
    """A parsed template; `step_cost` is the steps that one node counts."""

    context_class = Context
    step_cost = 1


def _guarded(
    name: str, run: Callable[..., object], budget: Budget, token: Token | None
) -> Callable[..., object]:
    def guarded(left: object, *args: object, **named: object) -> object:
        _refuse_missing(name, left, (*args, *named.values()) if named else args)
        try:
            _spend_on(left, budget)
            for value in args:
                _spend_on(value, budget)
            if look := LOOK_BEFORE.get(name):
                look(left, args, budget)
            result = run(left, *args, **named)
            _spend_on(result, budget)
        except TemplateInvalid as error:
            raise TemplateInvalid(
                error.reason, line=error.line or line_of(token), variable=error.variable
            ) from error
        except BROKEN_BY_DATA as error:
            raise TemplateInvalid(
                f"The filter “{name}” cannot work on this value.", line=line_of(token)
            ) from error
        return result

    return guarded


def _refuse_missing(name: str, left: object, args: tuple[object, ...]) -> None:
    if isinstance(left, Missing) and name != "default":
        left.refuse()
    for value in args:
        if isinstance(value, Missing):
            value.refuse()


def _spend_on(value: object, budget: Budget) -> None:
    if type(value) is str and len(value) < CHARS_PER_STEP - NODE_CHARS:
        budget.spend(1)
    elif not isinstance(value, Undefined):
        budget.spend(check_size(value) // CHARS_PER_STEP + 1)


def dotted(path: list[object]) -> str:
    """Return a path as people write it: customer.address["post code"][0]."""
    text = str(path[0])
    for part in path[1:]:
        if isinstance(part, str) and part.replace("-", "_").isidentifier():
            text += f".{part}"
        else:
            text += f'["{part}"]' if isinstance(part, str) else f"[{part}]"
    return text[:200]


_NUMBERS: Final = (int, float, Decimal)


class _Printed(OutputNode):
    """{{ ... }}, which prints text and numbers only, no groups of values."""

    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        value = self.expression.evaluate(context)
        if type(value) is str and isinstance(buffer, CountedOutput):
            return buffer.put(escape(value) if context.autoescape else value, value)
        if isinstance(value, Missing):
            value.refuse()
        if _is_group(value):
            raise TemplateInvalid(
                f"“{self.expression}” is a group of values; print one of them, or "
                "loop over it with {% for %}.",
                line=line_of(self.token),
            )
        shown = to_liquid_string(value, context.autoescape)
        if type(value) in _NUMBERS and isinstance(buffer, CountedOutput):
            return buffer.put(shown, shown)
        return buffer.write(shown)


class _Echoed(_Printed, EchoNode):
    __slots__ = ()


class _PrintTag(Output):
    node_class = _Printed


class _EchoTag(EchoTag):
    node_class = _Echoed


def _is_group(value: object) -> bool:
    if isinstance(value, list):
        return weigh(value) > 10_000 or any(_is_group(item) for item in value)
    return isinstance(value, Mapping | tuple)


def _bounded_range(self: RangeLiteral, context: RenderContext) -> range:
    start, stop = (
        _whole(end.evaluate(context), self.token) for end in (self.start, self.stop)
    )
    if stop - start >= MAX_RANGE:
        raise TemplateInvalid(
            f"The range ({start}..{stop}) is longer than {MAX_RANGE:,}.",
            line=line_of(self.token),
        )
    return range(start, max(start, stop + 1))


def _value_at(self: Path, context: RenderContext) -> object:
    found = context.scope.at(self.path) if isinstance(context, Context) else None
    return _look_up(self, context) if found is None else found


def _whole(value: object, token: Token | None) -> int:
    if isinstance(value, Missing):
        value.refuse()
    if isinstance(value, int | float | str):
        try:
            number = int(value)
        except (ValueError, OverflowError):
            return 0
        if abs(number) > 10**9:
            raise TemplateInvalid(
                "A range here has an end that is too large.", line=line_of(token)
            )
        return number
    return 0


# Ranges are made in the middle of python-liquid's parser, which has no seam for
# another class; a range that is reversed or joined is never counted by its limits.
RangeLiteral.evaluate = _bounded_range  # type: ignore[method-assign]
# Paths are what a template evaluates most, and identifiers are the keys that it looks
# for: both are as slow as the rest together. These say the same, sooner.
_look_up = Path.evaluate
Path.evaluate = _value_at  # type: ignore[method-assign]
Identifier.__eq__ = str.__eq__  # type: ignore[method-assign]
Identifier.__hash__ = str.__hash__  # type: ignore[method-assign]


def _environment(*, autoescape: bool) -> Environment:
    environment = _Environment(
        tolerance=Mode.STRICT, undefined=Missing, autoescape=autoescape
    )
    for tag in _CLOSED_TAGS:
        del environment.tags[tag]
    for name in _CLOSED_FILTERS:
        del environment.filters[name]
    environment.filters.update(OWN_FILTERS)
    environment.add_tag(_PrintTag)
    environment.add_tag(_EchoTag)
    return environment


class _Environment(Environment):
    template_class = Bounded
    loop_iteration_limit = MAX_LOOPS
    output_stream_limit = MAX_OUTPUT_BYTES
    context_depth_limit = 30
    block_nesting_limit = 30

    def error(
        self,
        exc: type[LiquidError] | LiquidError,
        msg: str | None = None,
        token: Token | None = None,
    ) -> None:
        """Raise the error, at the tag's place if it knows of none itself."""
        if isinstance(exc, LiquidError) and not line_of(exc.token):
            exc.token = token
        super().error(exc, msg, token)


HTML: Final = _environment(autoescape=True)
TEXT: Final = _environment(autoescape=False)

RENDER_FAULTS: Final = (LiquidError, *BROKEN_BY_DATA, AssertionError)
