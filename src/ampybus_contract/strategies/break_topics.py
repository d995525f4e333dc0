"""Ways to break the requirements on topics."""

from __future__ import annotations

from collections.abc import Iterator

from ampybus_contract.envelope import Envelope, Topic
from ampybus_contract.strategies.breaking import Way, one_of, own_shapes, with_topic
from ampybus_contract.strategies.entropy import Entropy
from ampybus_contract.strategies.envelope_maker import EnvelopeMaker, Made, Shape


def topic_ways(maker: EnvelopeMaker) -> Iterator[Way]:
    """A way for each role in the topic rule."""
    broken = _Topics(maker)
    ids, shapes = maker.contract.topic.requirements, tuple(maker.shapes())
    yield Way(ids["grammar"], shapes, broken.grammar)
    yield Way(ids["environment"], shapes, broken.environment)
    yield Way(ids["domain"], shapes, broken.domain)
    yield Way(ids["version"], shapes, broken.version)
    yield Way(ids["subtopic"], own_shapes(maker), broken.subtopic, partial=True)
    yield Way(ids["wildcard"], shapes, broken.wildcard)


class _Topics:
    def __init__(self, maker: EnvelopeMaker) -> None:
        self.contract, self.rule = maker.contract, maker.contract.topic

    def grammar(self, made: Made, _shape: Shape, entropy: Entropy) -> Envelope:
        tokens = made.envelope.topic.split(".")
        few = entropy.below(self.rule.minimum_tokens)
        emptied = [*tokens]
        emptied[entropy.below(len(tokens))] = ""
        underscored = f"{tokens[0]}.{'_'.join(tokens[1:])}"
        foreign = f"{tokens[0]}{tokens[0]}"
        texts = [
            underscored,
            ".".join(tokens[:few]),
            ".".join(emptied),
            f"{made.envelope.topic}.",
            ".".join([foreign, *tokens[1:]]),
            ".".join([tokens[0].swapcase(), *tokens[1:]]),
        ]
        return with_topic(made, entropy.choice(texts))

    def environment(self, made: Made, _shape: Shape, entropy: Entropy) -> Envelope | None:
        known = self.rule.environments
        texts = ("staging", *(text + more for text in known for more in ("2", "-eu")), *map(str.upper, known))
        return self._token(made, 1, one_of(texts, lambda text: self._free(text, known), entropy))

    def domain(self, made: Made, shape: Shape, entropy: Entropy) -> Envelope | None:
        known = tuple(self.contract.domains)
        texts = ("nosuch", f"{shape.domain}s", shape.domain.upper(), shape.domain[:-1])
        return self._token(made, 2, one_of(texts, lambda text: self._free(text, known), entropy))

    def version(self, made: Made, _shape: Shape, entropy: Entropy) -> Envelope | None:
        now = made.envelope.topic.split(".")[3]
        texts = ("v0", now[1:], f"{now}-1", now.upper(), "latest", f"{now[0]}0{now[1:]}", f"{now}~")

        def wrong(text: str) -> bool:
            return not self.rule.version.fullmatch(text) and self._free(text, ())

        return self._token(made, 3, one_of(texts, wrong, entropy))

    def subtopic(self, made: Made, shape: Shape, entropy: Entropy) -> Envelope | None:
        pattern, now = self.contract.domains[shape.domain].subtopic, Topic.parse(made.envelope.topic).subtopic
        first, _, rest = now.partition(".")
        texts = (
            f"{now}.x", f"x.{now}", f"{now}~", now[:-1], now[1:], now.lower(), now.upper(), first,
            f"{rest}.{first}", "~",
        )  # fmt: skip

        def wrong(text: str) -> bool:
            return not pattern.fullmatch(text) and all(self._free(token, ()) for token in text.split("."))

        text = one_of(texts, wrong, entropy)
        return None if text is None else self._tail(made, text)

    def wildcard(self, made: Made, _shape: Shape, entropy: Entropy) -> Envelope:
        tokens = made.envelope.topic.split(".")
        if entropy.chance(128):
            return with_topic(made, ".".join([*tokens[:-1], ">"]))
        tokens[-1 - entropy.below(len(tokens))] = "*"
        return with_topic(made, ".".join(tokens))

    def _free(self, text: str, known: tuple[str, ...]) -> bool:
        return text not in known and bool(self.rule.token.fullmatch(text))

    @staticmethod
    def _tail(made: Made, subtopic: str) -> Envelope:
        return with_topic(made, ".".join([*made.envelope.topic.split(".")[:4], subtopic]))

    @staticmethod
    def _token(made: Made, place: int, text: str | None) -> Envelope | None:
        if text is None:
            return None
        tokens = made.envelope.topic.split(".")
        tokens[place] = text
        return with_topic(made, ".".join(tokens))
