"""The pointer to the detector that answers: one small file, replaced by rename, so that it is always whole.

Reading and writing it belongs here; who may answer, and since when, to the decisions of the pipeline.
"""

import json

from warehouse.home import Home, UserError, canonical_json, write_text

COMBINED = "combined"
"""The detector that answers, by its name in the tables."""


def read_champion(home: Home) -> str | None:
    """Identity of the detector that answers in a home; None where there is none yet. UserError where it is damaged."""
    try:
        return str(json.loads(home.champion.read_text(encoding="utf-8"))["detector_id"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{home.champion} is damaged ({error}): remove it, and `sdaie run` writes it anew") from None


def write_champion(home: Home, identity: str) -> None:
    """Let this detector answer from now on."""
    write_text(home.champion, canonical_json({"detector": COMBINED, "detector_id": identity}) + "\n")
