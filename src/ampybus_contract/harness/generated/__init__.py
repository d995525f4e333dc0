"""Generated mutants: broken bindings made of an operator, a place, a subject and a trigger.

They are the measure of the judge: kinds of faults that nobody wrote a check for. Each has a stable ID,
``place.operator.subject@trigger``, and the chapter whose checks must find it.
"""

from ampybus_contract.harness.generated.catalogue import Catalogue, Exclusion, GeneratedMutant, catalogue
from ampybus_contract.harness.generated.judging import Fate, Judged, judged
from ampybus_contract.harness.generated.sample import draw

__all__ = ["Catalogue", "Exclusion", "Fate", "GeneratedMutant", "Judged", "catalogue", "draw", "judged"]
