"""The report: one self-contained HTML file on what was read, learned and measured, made from the catalogue alone.

Putting it together and writing it belongs here. The sections are made in modules of their own (`report_corpus.py`,
`report_benchmark.py`, `report_scores.py`, `report_robustness.py`, `report_reliability.py`, `report_comparisons.py`,
`report_decisions.py`) and carry the SQL that made them; number formats are in `report_plots.py`, axes in
`report_charts.py`, the looks in `report.html.j2` and what it includes.
"""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from warehouse import (
    report_benchmark,
    report_comparisons,
    report_corpus,
    report_decisions,
    report_reliability,
    report_robustness,
    report_scores,
)
from warehouse import report_plots as plots
from warehouse.catalogue import connect
from warehouse.home import Home, write_text
from warehouse.report_charts import Palette
from warehouse.report_tables import HEADLINE, Reader


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
        names = (row["detector"] for row in reader.rows("SELECT DISTINCT detector FROM leaderboard"))
        palette = Palette.of(names, shown)
        page = environment.get_template("report.html.j2").render(
            code_version=facts.get("code_version"),
            named=champion is not None,
            track=HEADLINE,
            headline=report_benchmark.headline(reader, shown),
            read=report_corpus.read(reader),
            quarantine=report_corpus.quarantine(reader),
            learned=report_corpus.learned(reader),
            claims=report_corpus.claims(reader),
            leaderboard=report_benchmark.leaderboard(reader, shown, palette),
            comparisons=report_comparisons.comparisons(reader, shown),
            curves=report_scores.curves(reader, palette),
            robustness=report_robustness.robustness(reader, shown, palette),
            calibration=report_reliability.calibration(reader, shown),
            makes=report_reliability.makes(reader, shown),
            complexity=report_scores.complexity(reader, shown),
            extremes=report_scores.extremes(reader),
            left_out=report_reliability.left_out(reader),
            near_duplicates=report_reliability.near_duplicates(reader),
            decisions=report_decisions.decisions(reader),
            changes=report_comparisons.changes(reader),
            versions=report_corpus.versions(reader),
        )
    write_text(home.report, page)
    return home.report


def _csp_hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
