"""The report in a browser: nothing asked of the network, no error, no overflow, tables that sort."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser

from warehouse.home import Home
from warehouse.report import write_report

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("stop", ["empty", "benchmark"])
def test_the_page_fits_and_asks_for_nothing(
    make_home: Callable[..., Home], browser: Browser, stop: str, width: int, scheme: str
) -> None:
    report = write_report(make_home(stop), {"code_version": "1", "champion": "one_class"})
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    complaints: list[str] = []
    requests: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(report.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width
    assert [url for url in requests if not url.startswith("data:")] == [report.as_uri()]
    assert complaints == []
    paper = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 26)"}[scheme]
    context.close()


def test_tables_sort_by_number_and_by_name(make_home: Callable[..., Home], browser: Browser) -> None:
    report = write_report(make_home(), {"champion": "one_class"})
    page = browser.new_page()
    page.goto(report.as_uri())
    board = page.locator("#leaderboard table").first

    def column(index: int, rows: str = "tbody:first-of-type") -> list[str]:
        return board.locator(f"{rows} td:nth-child({index})").all_inner_texts()

    def sort(heading: str) -> None:
        board.get_by_role("button", name=heading).first.click()

    first = column(1)
    assert first[1] == "binary"
    sort("mean")
    assert column(1) == ["◆ one_class", "binary", "one_class_published", "one_class_untrained"]
    sort("mean")
    assert column(4) == sorted(column(4))
    sort("AUROC")
    sort("AUROC")
    # What has no value stays last.
    assert column(1) == ["one_class_untrained", "one_class_published", "◆ one_class", "binary"]
    assert column(1, ".apart") == ["complexity", "format_rule", "jpeg_history"]
    sort("detector")
    assert column(1) == ["one_class_untrained", "one_class_published", "◆ one_class", "binary"]
    sort("detector")
    assert column(1) == ["binary", "◆ one_class", "one_class_published", "one_class_untrained"]
    assert column(1, ".apart") == ["complexity", "format_rule", "jpeg_history"]
    assert board.locator("tbody").nth(1).inner_text().startswith("Companions")
    page.close()


def test_pictures_show_and_charts_have_a_size(make_home: Callable[..., Home], browser: Browser) -> None:
    report = write_report(make_home(), {"champion": "one_class"})
    page = browser.new_page(viewport={"width": 400, "height": 900})
    page.goto(report.as_uri())
    for picture in page.locator("#extremes img").all():
        picture.scroll_into_view_if_needed()
    page.wait_for_function("[...document.images].every(i => i.complete)")
    assert set(page.evaluate("[...document.images].map(i => i.naturalWidth)")) == {120}
    for box in page.evaluate(
        "[...document.querySelectorAll('.chart svg')].map(s => s.getBoundingClientRect().toJSON())"
    ):
        assert box["width"] > 300
        assert box["height"] > 200
    # No text of a chart leaves it.
    outside = """[...document.querySelectorAll('.chart text')].filter(text => {
      const own = text.getBoundingClientRect(), all = text.closest('svg').getBoundingClientRect();
      return own.left < all.left - 1 || own.right > all.right + 1
        || own.bottom > all.bottom + 1 || own.top < all.top - 1;
    }).map(text => text.textContent)"""
    assert page.evaluate(outside) == []
    page.close()
