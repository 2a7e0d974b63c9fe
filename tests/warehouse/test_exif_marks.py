from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.warehouse.c2pa_files import NEWSCODES, empty_manifest, manifest, signed_jpeg
from warehouse.exif_marks import edit_evidence, generator_evidence
from warehouse.exif_privacy import ingested
from warehouse.exif_rules import RowValue, normalise
from warehouse.exiftool import ExifReader


def marks_of(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    with ExifReader() as reader:
        [record] = reader.read([path])
    assert record.tags is not None
    return edit_evidence(record.tags), generator_evidence(record.tags)


def row_of(path: Path) -> dict[str, RowValue]:
    with ExifReader() as reader:
        [record] = reader.read([path])
    return normalise(record.tags or {}).row


@pytest.mark.parametrize(
    "software",
    [
        *("Adobe Photoshop CC 2017 (Macintosh)", "GIMP 2.9.5", "darktable 3.2.1", "Adobe Lightroom 8.3.1 (Macintosh)"),
        *(
            "Microsoft Windows Photo Viewer 10.0.19041.1",
            "Windows Photo Editor 10.0.10011.16384",
            "Photos 1.5",
            "Google",
        ),
        *("Digital Photo Professional", "Noise Ninja 2", "QuickTime 7.7.1", "KODAK PROFESSIONAL DCS Photo Desk v3.2 W"),
    ],
)
def test_editors_are_known_by_name(software: str) -> None:
    assert edit_evidence({"IFD0:Software": software}) == (f"IFD0:Software: {software}",)
    assert edit_evidence({"XMP-xmp:CreatorTool": software})


@pytest.mark.parametrize(
    "software",
    [
        *("Ver.1.00", "15.2.1", "HDR+ 1.0.362396382zd", "Digital Camera FinePix S2950 Ver1.00", "COOLPIX P900 V1.3"),
        *("doha-user 10 QPIS30.28-Q3-28-26-4-1-3 f0a9a release-keys", "MediaTek Camera Application", "V714-74"),
        *("Google Pixel", "CLT-L29 10.0.0.197(C432E8R1P3)", 1.0, None),
    ],
)
def test_firmware_is_no_editor(software: object) -> None:
    assert edit_evidence({"IFD0:Software": software}) == ()
    assert generator_evidence({"IFD0:Software": software}) == ()


@pytest.mark.parametrize(
    ("tag", "edits", "clean"),
    [
        ("ExifIFD:CustomRendered", (1, "4"), (0, "0", "undef")),
        ("ExifIFD:CompositeImage", (2, 3), (0, 1)),
        ("ExifIFD:FileSource", (1, 2, "1"), (0, 3, "3 0 0 0")),
        ("XMP-xmpMM:HistoryAction", ("saved", ["derived", "saved"]), ()),
        ("XMP-exif:CustomRendered", (), (1, "Normal process")),
    ],
)
def test_processing_composition_scans_and_history_are_edits(
    tag: str, edits: tuple[object, ...], clean: tuple[object, ...]
) -> None:
    assert all(edit_evidence({tag: raw}) for raw in edits)
    assert not any(edit_evidence({tag: raw}) for raw in clean)


def test_evidence_is_joined_in_the_row() -> None:
    row = normalise({"IFD0:Software": "GIMP 2.9.5", "ExifIFD:CustomRendered": 1}).row
    assert row["edited"] is True
    assert row["edit_evidence"] == "IFD0:Software: GIMP 2.9.5; ExifIFD:CustomRendered: 1"
    assert normalise({}).row["edited"] is False


@pytest.mark.parametrize("key", ["parameters", "prompt", "workflow"])
def test_png_text_of_generators_is_read_from_the_file(tmp_path: Path, key: str) -> None:
    text = PngInfo()
    text.add_text(key, "a lighthouse at dusk, Steps: 20, Sampler: Euler a")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=text)
    assert marks_of(tmp_path / "a.png") == ((), (f"PNG text {key}",))


def test_ordinary_png_text_is_no_mark(tmp_path: Path) -> None:
    text = PngInfo()
    text.add_text("Comment", "parameters and prompt")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png", pnginfo=text)
    assert marks_of(tmp_path / "a.png") == ((), ())


@pytest.mark.parametrize(
    ("term", "generated"),
    [("trainedAlgorithmicMedia", True), ("compositeWithTrainedAlgorithmicMedia", True), ("digitalCapture", False)],
)
def test_digital_source_type_is_read_from_the_file(tmp_path: Path, term: str, generated: bool) -> None:
    xmp = (
        "<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>"
        "<rdf:Description xmlns:Iptc4xmpExt='http://iptc.org/std/Iptc4xmpExt/2008-02-29/' "
        f"Iptc4xmpExt:DigitalSourceType='{NEWSCODES}{term}'/></rdf:RDF></x:xmpmeta>"
    )
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", xmp=xmp.encode())
    expected = (f"XMP-iptcExt:DigitalSourceType: {term}",) if generated else ()
    assert marks_of(tmp_path / "a.jpg") == ((), expected)


@pytest.mark.parametrize(
    ("claim", "signer"),
    [
        ({"claim_generator": "Adobe_Firefly/1.0 c2pa-rs/0.2"}, "Adobe_Firefly/1.0 c2pa-rs/0.2"),
        ({"claim_generator_info": [{"name": "ChatGPT", "version": "4.1"}]}, "ChatGPT 4.1"),
        ({"alg": "sha256"}, None),
    ],
)
def test_a_c2pa_manifest_is_read_from_the_file(tmp_path: Path, claim: dict[str, object], signer: str | None) -> None:
    action: dict[str, object] = {"action": "c2pa.created", "digitalSourceType": f"{NEWSCODES}trainedAlgorithmicMedia"}
    signed = signed_jpeg(tmp_path / "signed.jpg", manifest(claim, [action]))
    evidence = ("CBOR:ActionsDigitalSourceType: trainedAlgorithmicMedia", "C2PA manifest")
    assert marks_of(signed) == ((), evidence)
    row = row_of(signed)
    assert (row["c2pa_claim_generator"], row["digital_source_type"]) == (signer, "trainedAlgorithmicMedia")


def test_a_manifest_that_says_nothing_is_still_a_mark(tmp_path: Path) -> None:
    assert marks_of(signed_jpeg(tmp_path / "empty.jpg", empty_manifest())) == ((), ("C2PA manifest",))


def test_a_manifest_of_edits_is_evidence_of_both(tmp_path: Path) -> None:
    actions: list[dict[str, object]] = [
        {"action": "c2pa.opened", "digitalSourceType": f"{NEWSCODES}digitalCapture"},
        {"action": "c2pa.cropped"},
        {"action": "c2pa.edited", "digitalSourceType": f"{NEWSCODES}compositeWithTrainedAlgorithmicMedia"},
    ]
    signed = signed_jpeg(tmp_path / "edited.jpg", manifest({}, actions))
    edits, marks = marks_of(signed)
    assert edits == ("C2PA action c2pa.cropped", "C2PA action c2pa.edited")
    assert marks == ("CBOR:ActionsDigitalSourceType: compositeWithTrainedAlgorithmicMedia", "C2PA manifest")
    assert row_of(signed)["digital_source_type"] == "compositeWithTrainedAlgorithmicMedia; digitalCapture"


def test_a_plain_file_has_no_marks(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.jpg")
    assert marks_of(tmp_path / "plain.jpg") == ((), ())
    row = row_of(tmp_path / "plain.jpg")
    assert row["generator_mark"] is row["c2pa_claim_generator"] is row["digital_source_type"] is None


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        ("XMP-iptcExt:AISystemUsed", "a model"),
        ("XMP-TC260:AIGC", '{"Label": "1"}'),
        ("IFD0:Make", 'workflow:{"nodes": []}'),
        ("IFD0:Model", 'prompt:{"3": {}}'),
        ("PNG:Description", "a cat --v 6 Job ID: 0f3c1a2b-1234-4a5b-8c9d-000000000000"),
        ("XMP-photoshop:Credit", "Made with Google AI"),
        ("PNG:Software", "NovelAI"),
        ("CBOR:ActionsSoftwareAgentName", "GPT-4o"),
    ],
)
def test_generators_that_say_so_are_known_before_and_after_words_are_withheld(tag: str, value: str) -> None:
    marks = generator_evidence({tag: value})
    assert len(marks) == 1
    assert generator_evidence(ingested({tag: value})) == marks
    assert "nodes" not in str(marks)


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        ("IFD0:Software", "gemini-user 8.0.0 OPR1.170623.032 V10.2.2.0 release-keys"),
        ("XMP-xmp:CreatorTool", "Editor de imagen 2"),
        ("XMP-photoshop:Credit", "Jane Doe"),
        ("ExifIFD:UserComment", "Midjourney was a good talk"),
        ("XMP-iptcExt:DigitalSourceType", "https://example.org/made-by-hand"),
    ],
)
def test_what_only_looks_like_a_generator_is_no_mark(tag: str, value: str) -> None:
    assert generator_evidence({tag: value}) == ()


def test_a_camera_that_signs_its_captures_makes_no_generator_mark() -> None:
    signed: dict[str, object] = {"JUMBF:JUMDLabel": "c2pa"}
    assert generator_evidence(signed | {"CBOR:ActionsDigitalSourceType": f"{NEWSCODES}digitalCapture"}) == ()
    both = [f"{NEWSCODES}digitalCapture", f"{NEWSCODES}trainedAlgorithmicMedia"]
    assert len(generator_evidence(signed | {"CBOR:ActionsDigitalSourceType": both})) == 2


def test_generators_are_known_by_name_and_by_their_parameters() -> None:
    assert generator_evidence({"IFD0:Software": "NovelAI"}) == ("IFD0:Software: NovelAI",)
    parameters = "a cat\nSteps: 30, Sampler: DPM++ 2M, CFG scale: 7, Seed: 1"
    assert generator_evidence({"ExifIFD:UserComment": parameters}) == ("ExifIFD:UserComment: generation parameters",)
    assert generator_evidence({"ExifIFD:UserComment": "Steps: of the Capitol"}) == ()


@settings(derandomize=True)
@given(
    st.dictionaries(
        st.sampled_from(["IFD0:Software", "ExifIFD:UserComment", "XMP-iptcExt:DigitalSourceType", "JUMBF:JUMDLabel"])
        | st.sampled_from(["ExifIFD:FileSource", "ExifIFD:CompositeImage", "ExifIFD:CustomRendered", "PNG:Prompt"]),
        st.none() | st.booleans() | st.floats() | st.text(st.characters()) | st.lists(st.integers() | st.none()),
    )
)
def test_any_json_has_its_marks(tags: dict[str, object]) -> None:
    for mark in (*edit_evidence(tags), *generator_evidence(tags)):
        mark.encode()
