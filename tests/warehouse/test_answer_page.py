from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser

from warehouse.answer_page import Claim, Evidence, MapKey, ShownPicture, render, stands_for
from warehouse.answers import Answer

KEY = MapKey((("#ffffd4", "50% to 100%"), ("#993404", "at most 50%")), "framed", "hatched")


def answer(verdict: str, p_value: float | None, **changes: object) -> Answer:
    plain = Answer("a <b>.jpg", "ab" * 32, verdict, "0123", "1.0", "as_shipped", "photos", 346, 150, 0.05, 1.6, p_value)
    return replace(plain, score=None if p_value is None else 1.0, **changes)  # type: ignore[arg-type]


def picture(width: int, height: int) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (width, height), "teal").save(buffer, "JPEG")
    return buffer.getvalue()


def page() -> str:
    generated = answer("generated", 0.003, parts={"one_class": 0.01, "reconstruction": 0.2}, squares=16)
    unlike = answer("cannot_tell", 0.5, reason="Unlike.", reason_code="unfamiliar", would_have_said="photograph")
    broken = answer("cannot_tell", None, reason="Damaged.", reason_code="corrupt", failed=True, sha256=None)
    claim = Claim("ISO 100: the noise is that of a higher value", against=True)
    shown = [
        ShownPicture(generated, picture(360, 200), picture(900, 500), 35, 3, (claim,)),
        ShownPicture(answer("photograph", 0.91), picture(20, 360), picture(900, 900)),
        ShownPicture(unlike),
        ShownPicture(broken),
        ShownPicture(replace(broken, file="very/long/" * 40)),
    ]
    marks = Evidence("Acme 1", "trainedAlgorithmicMedia", ("PNG text parameters",), ("IFD0:Software: GIMP",))
    return render(shown, [marks, Evidence(), Evidence(unread="no exiftool"), Evidence(), Evidence()], KEY, {"seed": 1})


def test_the_page_says_everything_and_escapes_names() -> None:
    said = page()
    assert "a &lt;b&gt;.jpg" in said
    for words in (
        *("Of 1,000 photographs, about 3", "about 910", "The score alone would have said: photograph", "Damaged."),
        *("Acme 1", "trainedAlgorithmicMedia", "PNG text parameters", "IFD0:Software: GIMP", "no exiftool"),
        *("They never enter the score", "not the probability", "the noise is that of a higher value", "0123"),
    ):
        assert words in said
    assert page() == said


def test_an_empty_page_is_a_page() -> None:
    assert "No pictures were given" in render([], [], KEY, {})


def test_an_answer_without_a_p_value_stands_for_nothing() -> None:
    with pytest.raises(ValueError, match="stands for nothing"):
        stands_for(answer("cannot_tell", None))


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1200])
def test_it_fits_and_asks_for_nothing(tmp_path: Path, browser: Browser, width: int, scheme: str) -> None:
    file = tmp_path / "page.html"
    file.write_text(page(), encoding="utf-8")
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
    shown = context.new_page()
    complaints: list[str] = []
    requests: list[str] = []
    shown.on("console", lambda message: complaints.append(message.text))
    shown.on("request", lambda request: requests.append(request.url))
    shown.goto(file.as_uri())
    shown.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert shown.evaluate("document.scrollingElement.scrollWidth") <= width
    assert [url for url in requests if not url.startswith("data:")] == [file.as_uri()]
    assert complaints == []
    context.close()
