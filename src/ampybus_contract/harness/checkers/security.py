"""Credentials where nobody may see them (section 12)."""

from __future__ import annotations

import base64
from dataclasses import replace

from ampybus_contract.contract import Contract
from ampybus_contract.envelope import Envelope, Headers
from ampybus_contract.harness.checkers.reading import History, only
from ampybus_contract.harness.history import Anomaly, Event, Operation

MASK = "***"


def credential_shown(history: History, _contract: Contract) -> list[Anomaly]:
    """A password that the binding was given and that stands in a header, an error, a log record or a repr.

    Also where it is written in base64. The anomaly itself shows a mask in its place.
    """
    secrets = [item.said for item in only(history, Operation.SECRET)]
    if not secrets:
        return [Anomaly("No credentials were given, so none could be shown.", tuple(history[:1]))]
    forms = [form for secret in secrets for form in (secret, base64.b64encode(secret.encode()).decode())]
    found: list[Anomaly] = []
    for item in history:
        if item.operation is Operation.SECRET:
            continue
        texts = (item.error, item.said, *item.envelope.headers.values())
        if any(form in text for form in forms for text in texts):
            place = f"what it showed ({item.operation})" if item.said or item.error else "a header"
            found.append(Anomaly(f"A password stands in {place}.", (_masked(item, forms),)))
    return found


def _masked(item: Event, forms: list[str]) -> Event:
    def masked(text: str) -> str:
        for form in forms:
            text = text.replace(form, MASK)
        return text

    headers = {name: masked(value) for name, value in item.envelope.headers.items()}
    envelope = Envelope(item.topic, Headers(headers), item.envelope.payload)
    return replace(item, envelope=envelope, error=masked(item.error), said=masked(item.said))
