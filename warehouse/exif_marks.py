"""What a file says about itself: that it was edited, or that a generator made it.

The lists of names and the rules that find them in exiftool's tags belong here, as pure functions that never raise.
Typed columns belong in `exif_rules.py`. Marks are evidence beside the detector's score and never reach it: their
absence says nothing, and anyone can remove them.
"""

import re
from collections.abc import Mapping

from warehouse.exif_values import GENERATION_TEXT, Reason, numbers, text

# Names of programs that change pixels or write files anew; Apple and Google Photos sign as `Photos 1.5` and `Google`.
# Names of firmware (HDR+, Ver.1.00) are not among them.
_EDITORS = re.compile(
    r"""\b(
    photoshop | lightroom | camera\ raw | adobe | photo-?paint | paint\ ?shop | corel | gimp | darktable
    | raw\ ?therapee
    | capture\ (one|nx) | nx\ studio | viewnx | digital\ photo\ professional | image\ data\ converter | silkypix
    | dcs\ photo\ desk | affinity | paint\.net | pixelmator | snapseed | vsco | picasa | picnik | acdsee | acd\ systems
    | iphoto | aperture\ \d | (windows|microsoft)\ .*photo | photo\ (editor|gallery|viewer) | digikam | showfoto
    | imagemagick | graphicsmagick | irfanview | xnview | faststone | photoscape | photofiltre | picsart | instagram
    | meitu | beautyplus | facetune | facetuner | luminar | dxo\ (optics|photolab|film|pureraw)
    | topaz | nik\ collection | noise\ ninja
    | neat\ image | on1 | ulead | photoimpact | polarr | canva | figma | krita | inkscape | pixlr | fotor | befunky
    | remini | hugin | ptgui | autopano | photomatix | aurora\ hdr | helicon | zerene | image\ composite\ editor
    | photo\ ?impression | arcsoft | quicktime | pmb | ezprint
    )\b | ^photos\ \d | ^google$""",
    re.IGNORECASE | re.VERBOSE,
)

_GENERATORS = re.compile(
    r"""\b(
    stable[\ -]?diffusion | sdxl | midjourney | dall[-·\ ]?e | novelai | invokeai | comfyui | automatic1111 | fooocus
    | adobe[ _]firefly | ideogram | leonardo\.ai | flux\.1 | dreamstudio | craiyon | nightcafe | chatgpt
    | gpt-?(4o|image)\S* | openai | bing\ image\ creator | google\ (ai|generative\ ai) | draw\ ?things
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)

# IPTC NewsCodes "digital source type" (http://cv.iptc.org/newscodes/digitalsourcetype/), with the retired ones and
# those that C2PA adds. Made by a model or an algorithm, wholly or in part:
_GENERATED_SOURCES = (
    *("trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "compositeSynthetic", "algorithmicMedia"),
    *("dataDrivenMedia", "virtualRecording", "trainedAlgorithmicData"),
)
_CAPTURED_SOURCES = ("digitalCapture", "computationalCapture", "compositeCapture", "multiFrameCapture")
_OTHER_SOURCES = (
    *("negativeFilm", "positiveFilm", "print", "humanEdits", "minorHumanEdits", "algorithmicallyEnhanced"),
    *("softwareImage", "digitalArt", "digitalCreation", "screenCapture", "composite", "empty"),
)
_SOURCES = {term.lower(): term for term in (*_GENERATED_SOURCES, *_CAPTURED_SOURCES, *_OTHER_SOURCES)}

# PNG text in which the common user interfaces keep the prompt or the graph; exiftool capitalises the first letter.
_PNG_TEXT = frozenset(
    {"parameters", "prompt", "workflow", "dream", "sd-metadata", "invokeai_metadata", "invokeai_graph"}
    | {"generation_data", "generation_time", "fooocus_scheme", "swarm", "sui_image_params", "aigc"}
)
# Tags by which a file says that it was generated, whatever they hold: IPTC 2025.1, and the label that China requires.
_STATEMENTS = re.compile(
    r"XMP-iptcExt:AI(SystemUsed|SystemVersionUsed|PromptInformation|PromptWriterName)|XMP-\w+:AIGC", re.I
)
# ComfyUI writes graph and prompt into Make and Model of a WebP; others into a comment or a description.
_GRAPH = re.compile(r"\s*(workflow|prompt)\s*:\s*[\[{]", re.IGNORECASE)
_MIDJOURNEY = re.compile(r"Job ID: [0-9a-f]{8}-[0-9a-f]{4}-")
_CREDIT = re.compile(r"(made|edited) with google ai\b", re.IGNORECASE)

# C2PA actions that change pixels; created, opened, placed, published and converted do not.
_EDITING = re.compile(
    r"c2pa\.(edited|cropped|color_adjustments|colorAdjustments|drawing|filtered|orientation|resized|removed|adjustedColor"
    r"|changedSpeed|enhanced|redacted|watermarked|addedText|deleted)(\..*)?"
)

_SOFTWARE = ("IFD0:Software", "PNG:Software", "XMP-xmp:CreatorTool", "XMP-tiff:Software")
_AGENTS = ("CBOR:ActionsSoftwareAgent", "CBOR:ActionsSoftwareAgentName")


def is_generation_text(tag: str, value: object) -> bool:
    """Whether a text is what a generator was told or says it did, or stands in the place of one."""
    group, _, name = tag.partition(":")
    if value == GENERATION_TEXT or (group == "PNG" and name.lower() in _PNG_TEXT):
        return True
    if group.startswith("XMP-") and _STATEMENTS.fullmatch(tag):
        return True
    if not isinstance(value, str):
        return False
    parameters = "Steps: " in value and "Sampler: " in value
    if name in {"UserComment", "Comment", "ImageDescription", "Description", "XPComment"}:
        return parameters or _MIDJOURNEY.search(value) is not None
    if name in {"Make", "Model"}:
        return _GRAPH.match(value) is not None
    return name == "Credit" and _CREDIT.match(value) is not None


def source_terms(value: object) -> list[str]:
    """The IPTC digital source types that one or several addresses name, as IPTC writes them; others are left out."""
    items = value if isinstance(value, list) else [value]
    words = [str(text(item)).lower().rstrip("/").rpartition("/")[2] for item in items]
    return [_SOURCES[word] for word in words if word in _SOURCES]


def digital_source_type(tags: Mapping[str, object]) -> str | None:
    """All IPTC digital source types that the file states, in XMP or in C2PA actions: each once, in order, by `; `."""
    return "; ".join(sorted(_sources(tags))) or None


def c2pa_claim_generator(tags: Mapping[str, object]) -> str | None:
    """The program that signed the C2PA manifest, with its version, by its own words."""
    name = _first(tags, "CBOR:Claim_Generator_InfoName")
    if name is None:
        return _first(tags, "CBOR:Claim_generator")
    version = _first(tags, "CBOR:Claim_Generator_InfoVersion")
    return f"{name} {version}" if version is not None else name


def edit_evidence(tags: Mapping[str, object]) -> tuple[str, ...]:
    """What in `tags` says that the picture was edited, composed of several or scanned; empty if nothing does.

    Software (0x0131) or CreatorTool names an editor; CustomRendered (0xA401) is not 0; CompositeImage (0xA460) is 2
    or 3; FileSource (0xA300) is 1 or 2, a scanner; XMP carries an editing history, C2PA an action that edits.
    """
    evidence = [f"{tag}: {name}" for tag, name in _names(tags) if _EDITORS.search(name)]
    custom, composite, source = (
        numbers(tags.get(tag))[0] for tag in ("ExifIFD:CustomRendered", "ExifIFD:CompositeImage", "ExifIFD:FileSource")
    )
    if isinstance(custom, float) and custom != 0:
        evidence.append(f"ExifIFD:CustomRendered: {custom:g}")
    if composite in (2, 3):
        evidence.append(f"ExifIFD:CompositeImage: {composite:g}")
    if source in (1, 2):
        evidence.append(f"ExifIFD:FileSource: {source:g} (scanner)")
    if any(tag.startswith("XMP-xmpMM:History") for tag in tags):
        evidence.append("XMP history")
    actions = {action for action in _texts(tags.get("CBOR:ActionsAction")) if _EDITING.fullmatch(action)}
    evidence += [f"C2PA action {action}" for action in sorted(actions)]
    return tuple(evidence)


def generator_evidence(tags: Mapping[str, object]) -> tuple[str, ...]:
    """What in `tags` says that a generator made the picture; empty if nothing does.

    IPTC DigitalSourceType, wherever it stands (XMP, C2PA actions); a C2PA manifest, unless the only source types it
    states are captures, as signing cameras do; generators' own text in PNG, comments (0x9286), descriptions, Make and
    Model; statements by IPTC's tags; the name of a generator as Software or as agent of a C2PA action.
    """
    sources = _sources(tags)
    evidence = [f"{tag}: {term}" for term, tag in sources.items() if term in _GENERATED_SOURCES]
    manifest = any(
        tag.endswith("JUMDLabel") and "c2pa" in str(text(value)).lower() for tag, value in tags.items()
    ) or any(tag.startswith("JUMBF:C2PA") for tag in tags)
    if manifest and not (sources and sources.keys() <= set(_CAPTURED_SOURCES)):
        evidence.append("C2PA manifest")
    for tag in sorted(tags):
        if is_generation_text(tag, tags[tag]):
            group, _, name = tag.partition(":")
            evidence.append(f"PNG text {name.lower()}" if group == "PNG" else f"{tag}: generation parameters")
    names = _names(tags) + [(tag, agent) for tag in _AGENTS for agent in _texts(tags.get(tag))]
    evidence += [f"{tag}: {name}" for tag, name in dict.fromkeys(names) if _GENERATORS.search(name)]
    return tuple(evidence)


def _sources(tags: Mapping[str, object]) -> dict[str, str]:
    """Digital source types that the file states, and where."""
    stated = [tag for tag in sorted(tags) if tag.lower().endswith("digitalsourcetype")]
    return {term: tag for tag in stated for term in source_terms(tags[tag])}


def _names(tags: Mapping[str, object]) -> list[tuple[str, str]]:
    """The programs that the file names, each with its tag."""
    return [(tag, str(text(tags[tag]))) for tag in _SOFTWARE if tag in tags]


def _texts(value: object) -> list[str]:
    return [str(text(item)) for item in (value if isinstance(value, list) else [value])]


def _first(tags: Mapping[str, object], tag: str) -> str | None:
    value = tags.get(tag)
    first = text(value[0] if isinstance(value, list) and value else value)
    return None if isinstance(first, Reason) else first
