"""Headers on the fast path: one regular expression over all values of a message, joined by line feeds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from operator import itemgetter

from ampybus_contract.contract import Contract, DomainRule, HeaderRule
from ampybus_contract.contract.languages import Relation, relation
from ampybus_contract.validation.header_rules import well_advised, well_formed
from ampybus_contract.validation.routes import Runs

LAYOUTS_KEPT = 64
SIGHTINGS_KEPT = 4096
SIGHTINGS_TO_COMPILE = 8

SPARE = "\r"
"""A character that no value seen on the fast path holds: those that do get the close look."""

Values = Callable[[Mapping[str, str]], tuple[str, ...]]
Match = Callable[[str], object]

DAY_EXISTS = (
    r"(?:(?!0000)....-..-(?:[01]|2[0-8])|(?!0000)[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    r"|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)-02-29)"
)


@dataclass(frozen=True, slots=True)
class Layout:
    """A set of header names without findings of its own.

    ``run`` gives the values that repeat within a run, ``own`` those of one message, of which there are
    ``breaks`` + 1. ``match_run`` and ``match_own`` want them joined by line feeds, without a ``forbidden``
    character; if ``text_only``, the patterns of ``own`` leave no room for one. ``apart`` are rules whose
    pattern cannot stand in a larger one; ``domains`` need no more headers; ``plain`` ones carry a payload
    as it is and have nothing apart. ``runs`` remembers what was learned of traffic with this layout.
    """

    run: Values
    match_run: Match
    own: Values
    match_own: Match
    breaks: int
    forbidden: tuple[str, ...]
    text_only: bool
    apart: tuple[HeaderRule, ...]
    parent: re.Pattern[str] | None
    domains: frozenset[str]
    pointer: bool
    encoded: bool
    plain: bool
    runs: Runs = field(default_factory=dict)

    def keeps_run(self, values: tuple[str, ...]) -> bool:
        """Whether the values that repeat within a run have the form they need."""
        text = "\n".join(values)
        known = self.match_run(text) is not None and text.count("\n") == len(values) - 1
        return known and encodable(text) and not any(character in text for character in self.forbidden)

    def printable(self, text: str) -> bool:
        """Whether joined values of a message hold no line feed of their own and nothing forbidden."""
        return text.count("\n") == self.breaks and not any(item in text for item in self.forbidden)

    def keeps_apart(self, headers: Mapping[str, str]) -> bool:
        """Whether values with patterns of their own match, and the trace headers name one trace."""
        for rule in self.apart:
            if not well_formed(rule, headers[rule.name]) or not well_advised(rule, headers[rule.name]):
                return False
        match = self.parent.fullmatch(headers["traceparent"]) if self.parent else None
        return match is None or all(
            headers.get(name, part) == part for name, part in match.groupdict().items()
        )


def encodable(text: str) -> bool:
    """Whether a text can be written as UTF-8, which one half of a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class LayoutCompiler:
    """Compiles the layouts that come again; a layout seen a few times only is left to the close look."""

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._sightings: dict[frozenset[str], int] = {}
        self._forbidden = _forbidden(contract.header_value)
        self._known: dict[frozenset[str], Layout] = {}

    def of(self, names: Iterable[str]) -> Layout | None:
        """The layout of these names; None while it is new, and where the names alone are wrong."""
        key = frozenset(names)
        layout = self._known.get(key)
        if layout is not None:
            return layout
        seen = self._sightings.get(key, 0) + 1
        if len(self._sightings) >= SIGHTINGS_KEPT:
            self._sightings.clear()
        self._sightings[key] = seen
        if seen != SIGHTINGS_TO_COMPILE:
            return None
        layout = self._compile(sorted(key), key)
        if layout is not None:
            if len(self._known) >= LAYOUTS_KEPT:
                self._known.clear()
            self._known[key] = layout
            del self._sightings[key]
        return layout

    def _compile(self, names: list[str], present: frozenset[str]) -> Layout | None:
        contract = self._contract
        if self._forbidden is None or not all(contract.header_name.fullmatch(name) for name in names):
            return None
        if any(rule.required and name not in present for name, rule in contract.headers.items()):
            return None
        pointers = [name for name in contract.pointer_headers if name in present]
        if pointers and len(pointers) != len(contract.pointer_headers):
            return None
        rules = {name: contract.headers[name] for name in names if name in contract.headers}
        run = [name for name, rule in rules.items() if rule.per_run]
        own = [name for name in names if name not in run]
        if len(run) < 2 or len(own) < 2:
            return None
        apart = tuple(rule for rule in rules.values() if not _joins(rule))
        parent = rules["traceparent"].pattern if "traceparent" in rules else None
        return Layout(
            run=itemgetter(*run),
            match_run=_joined(contract, run, rules),
            own=itemgetter(*own),
            match_own=_joined(contract, own, rules, SPARE),
            breaks=len(own) - 1,
            forbidden=tuple(sorted(self._forbidden - {"\n"})),
            text_only=all(character < " " for character in self._forbidden)
            and all(_text_only(_piece(contract, rules.get(name))) for name in own),
            apart=apart,
            parent=parent if parent is not None and parent.groupindex else None,
            domains=frozenset(
                domain.name for domain in contract.domains.values() if present >= _needed(domain)
            ),
            pointer=bool(pointers),
            encoded="content_encoding" in present,
            plain=not (apart or pointers or "content_encoding" in present),
        )


def _needed(domain: DomainRule) -> set[str]:
    return {*domain.required_headers, *(("dedupe_key",) if domain.dedupe_key else ())}


_POSITIONAL = re.compile(r"\\[1-9]|\(\?P|\(\?\(")


def _joins(rule: HeaderRule) -> bool:
    """Whether the rule's patterns mean the same inside a larger one: no named group, reference or flag."""
    patterns = [rule.pattern, *([rule.recommended] if rule.recommended else ())]
    return all(item.flags == re.UNICODE and not _POSITIONAL.search(item.pattern) for item in patterns)


def _joined(contract: Contract, names: list[str], rules: Mapping[str, HeaderRule], spare: str = "") -> Match:
    pieces = [_piece(contract, rules.get(name)) for name in names]
    return re.compile("\n".join(_quicker(piece, spare) for piece in pieces)).fullmatch


_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\((?!\?)", re.DOTALL)
_TWO_RANGES = re.compile(r"\[(?:[0-9A-Za-z]-[0-9A-Za-z]){2}\]")


def _quicker(pattern: str, spare: str) -> str:
    """The same expression in a form that ``re`` is quicker with, for texts without the ``spare`` character.

    A group that nobody reads is not captured. A class of two ranges is asked range by range, of three or
    more by one look into a bitmap; so such a class takes the spare character as its third.
    """

    def quicker(token: re.Match[str]) -> str:
        text = token[0]
        if text == "(":
            return "(?:"
        return f"{text[:-1]}{re.escape(spare)}]" if spare and _TWO_RANGES.fullmatch(text) else text

    return _TOKEN.sub(quicker, pattern)


def _piece(contract: Contract, rule: HeaderRule | None) -> str:
    """The expression for one value; for any line where the header has no rule or is judged apart."""
    if rule is None or not _joins(rule):
        return contract.header_value.pattern
    ahead = f"(?={DAY_EXISTS})" if rule.date_time else ""
    if rule.recommended is None:
        return f"{ahead}(?:{rule.pattern.pattern})"
    advised = rule.recommended.pattern
    if relation(rule.pattern.pattern, advised)[0] in (Relation.EQUAL, Relation.NARROWER):
        return f"{ahead}(?:{advised})"
    return rf"{ahead}(?=(?:{advised})(?:\n|\Z))(?:{rule.pattern.pattern})"


def _text_only(piece: str) -> bool:
    """Whether an expression surely matches no character below the blank, told by how it is written.

    Only a negated class, a dot, and some escapes reach these; a class that names CR, LF and NUL does not.
    """
    ahead = piece.replace(f"(?={DAY_EXISTS})", "").replace(r"(?:\n|\Z)", "")
    rest = re.sub(r"\[\^\\r\\n\\x00(?:\\ud800-\\udfff)?\]", "", ahead)
    return rest.isprintable() and "[^" not in rest and not _OTHER.search(rest)


_OTHER = re.compile(r"(?<!\\)\.|\\[^.+*?(){}\[\]|^$/-]")


_NEGATED_CLASS = re.compile(r"\[\^((?:\\[rnt]|\\x[0-9a-fA-F]{2})+)(?:\\ud800-\\udfff)?\]\*")
_ESCAPES = {r"\r": "\r", r"\n": "\n", r"\t": "\t"}


def _forbidden(pattern: re.Pattern[str]) -> frozenset[str] | None:
    """The characters that a pattern such as ``[^\\r\\n]*`` forbids; None for any other form or without LF.

    Surrogates are not among them: the fast path takes none.
    """
    whole = _NEGATED_CLASS.fullmatch(pattern.pattern)
    if whole is None or pattern.flags != re.UNICODE:
        return None
    found = frozenset(
        _ESCAPES.get(item) or chr(int(item[2:], 16))
        for item in re.findall(r"\\x[0-9a-fA-F]{2}|\\.", whole[1])
    )
    return found if "\n" in found else None
