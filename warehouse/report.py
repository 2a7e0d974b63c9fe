"""The report: one self-contained HTML file on what was read, learned and measured, made from the catalogue alone.

Putting it together and writing it belongs here. The sections are made in `report_corpus.py` and `report_benchmark.py`
and carry the SQL that made them; number formats are in `report_plots.py`, the looks in `report.html.j2`.
"""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from warehouse import report_benchmark, report_corpus
from warehouse import report_plots as plots
from warehouse.catalogue import connect
from warehouse.home import Home, write_text
from warehouse.report_tables import Reader


def write_report(home: Home, facts: Mapping[str, object]) -> Path:
    """Write `report.html` of the home from its catalogue, and return its path.

    `facts` holds what no table knows: `code_version` (text), and `champion` (name of the detector that answers now;
    absent or None where there is none). The same catalogue and facts give the same bytes. Raises UserError where no
    catalogue has been published.
    """
    champion = None if facts.get("champion") is None else str(facts["champion"])
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"csp_hash": _csp_hash, "visible": plots.visible, "count": plots.count}
    with connect(home) as catalogue:
        reader = Reader(catalogue)
        shown = champion or report_benchmark.best_detector(reader)
        page = environment.get_template("report.html.j2").render(
            code_version=facts.get("code_version"),
            named=champion is not None,
            headline=report_benchmark.headline(reader, shown),
            read=report_corpus.read(reader),
            quarantine=report_corpus.quarantine(reader),
            learned=report_corpus.learned(reader),
            leaderboard=report_benchmark.leaderboard(reader, shown),
            calibration=report_benchmark.calibration(reader, shown),
            left_out=report_benchmark.left_out(reader),
            versions=report_corpus.versions(reader),
        )
    write_text(home.report, page)
    return home.report


def _csp_hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
