"""Ways to break the requirements on headers."""

from __future__ import annotations

from collections.abc import Iterator

from ampybus_contract.contract import HeaderRule
from ampybus_contract.envelope import Envelope
from ampybus_contract.strategies.breaking import Change, Way, one_of, own_shapes, with_headers
from ampybus_contract.strategies.entropy import Entropy
from ampybus_contract.strategies.envelope_maker import EnvelopeMaker, Made, Shape, Wish
from ampybus_contract.strategies.header_values import agrees, exists, trial
from ampybus_contract.strategies.values import Moment

_KEYS = frozenset({"partition_key", "dedupe_key"})
_JUDGED_WITH_PAYLOAD = "schema_version"
_ATTEMPTS = 8


def header_ways(maker: EnvelopeMaker) -> Iterator[Way]:
    """Ways for each header's rules, for the rules on all headers, and for what domains ask for."""
    contract, own = maker.contract, own_shapes(maker)
    broken = _Headers(maker)
    for name, rule in contract.headers.items():
        asked = {
            domain.name
            for domain in contract.domains.values()
            if name in domain.required_headers or (name == "dedupe_key" and domain.dedupe_key)
        }
        free = tuple(shape for shape in own if shape.domain not in asked)
        if rule.required:
            yield Way(rule.required, free, _without(name))
        pointer = name == _JUDGED_WITH_PAYLOAD or name in contract.pointer_headers
        if name not in _KEYS:
            yield Way(rule.format, own, broken.misformed(name, rule), Wish(pointer=pointer), partial=True)
        if rule.recommended and rule.recommended_requirement:
            yield Way(rule.recommended_requirement, own, broken.discouraged(name, rule), partial=True)
    ids = contract.header_requirements
    yield Way(ids["name"], own, broken.name)
    yield Way(ids["value"], own, broken.value)
    for name in maker.headers.values.linked:
        if name not in maker.headers.values.unmade:
            yield Way(ids["trace"], own, broken.disagreeing(name), partial=True)
    for domain in contract.domains.values():
        shapes = tuple(maker.shapes(domain.name)) if domain.required_headers else ()
        for name, requirement in domain.required_headers.items():
            if name not in contract.headers or not contract.headers[name].required:
                yield Way(requirement, shapes, _without(name))


class _Headers:
    def __init__(self, maker: EnvelopeMaker) -> None:
        self.contract, self.headers = maker.contract, maker.headers

    def misformed(self, name: str, rule: HeaderRule) -> Change:
        """Give a header a text of one line that its pattern does not allow."""

        def change(made: Made, _shape: Shape, entropy: Entropy) -> Envelope | None:
            now = made.envelope.headers.get(name, rule.example)

            def wrong(text: str) -> bool:
                kept = name != "schema_version" or text.partition(".")[0] == now.partition(".")[0]
                fits = rule.pattern.fullmatch(text) and (not rule.date_time or exists(text))
                return kept and not fits and bool(self.contract.header_value.fullmatch(text))

            text = one_of(_misspelled(now, rule), wrong, entropy)
            return None if text is None else self._alone(made, name, text)

        return change

    def discouraged(self, name: str, rule: HeaderRule) -> Change:
        """Give a header a text that is allowed and not recommended."""

        def change(made: Made, _shape: Shape, entropy: Entropy) -> Envelope | None:
            now = made.envelope.headers.get(name, rule.example)
            texts = [now.upper(), now.lower(), now.swapcase(), now.title()]

            def wrong(text: str) -> bool:
                recommended = rule.recommended is None or rule.recommended.fullmatch(text)
                return bool(rule.pattern.fullmatch(text)) and not recommended

            text = one_of(texts, wrong, entropy) or one_of([rule.example.upper()], wrong, entropy)
            return None if text is None else self._alone(made, name, text)

        return change

    def name(self, made: Made, _shape: Shape, entropy: Entropy) -> Envelope | None:
        known = entropy.choice(tuple(self.contract.headers))
        texts = (known.replace("_", "-"), known.title(), known.upper(), f"{known} ", f"1{known}", f"{known}é")
        name = one_of(texts, lambda text: not self.contract.header_name.fullmatch(text), entropy)
        return None if name is None else with_headers(made, **{name: "x"})

    def value(self, made: Made, _shape: Shape, entropy: Entropy) -> Envelope | None:
        texts = ("a\nb", "a\r\nb: c", "\r", "\x00", "tail\n", "half \ud800")
        text = one_of(texts, lambda text: not self.contract.header_value.fullmatch(text), entropy)
        name = next(name for name in ("x", "x_", "x__") if name not in self.contract.headers)
        return None if text is None else with_headers(made, **{name: text})

    def disagreeing(self, name: str) -> Change:
        """Give a header that repeats others a well-formed text of something else."""

        def change(made: Made, _shape: Shape, entropy: Entropy) -> Envelope | None:
            rule, headers = self.contract.headers[name], made.envelope.headers
            for number in range(_ATTEMPTS):
                source = trial(number) if number else entropy
                text = self.headers.values.make(name, Moment(source, 0))
                if rule.pattern.fullmatch(text) and not agrees(rule, headers, text):
                    return with_headers(made, **{name: text})
            return None

        return change

    def _alone(self, made: Made, name: str, text: str) -> Envelope:
        """Set one header and drop those that repeat it."""
        linked = self.headers.values.linked
        dropped = {other: None for other, parts in linked.items() if name in parts}
        return with_headers(made, **{**dropped, name: text})


def _without(name: str) -> Change:
    return lambda made, _shape, _entropy: with_headers(made, **{name: None})


def _misspelled(now: str, rule: HeaderRule) -> Iterator[str]:
    yield from (
        f"{now}!",
        now[:-1],
        f" {now}",
        f"{now} ",
        now.upper(),
        now.lower(),
        f"-{now}",
        f"{now}.é",
        "",
    )
    yield from (now.replace("-", "_"), now.replace(":", ""), now.replace(".", ""), f"{now}\t")
    if rule.date_time:
        yield from (f"{now[:-1]}+00:00", f"{now[:4]}-02-30{now[10:]}", now.replace("T", " "), now[:10])
    elif "0" not in now:
        yield from (f"0{now}", "0" * len(now))
    else:
        yield "0" * len(now)
