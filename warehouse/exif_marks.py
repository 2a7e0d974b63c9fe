"""What a file says about itself: that it was edited, or that a generator made it.

The lists of names and the rules that find them in exiftool's tags belong here, as pure functions that never raise.
Typed columns belong in `exif_rules.py`. Marks are evidence beside the detector's score and never reach it: their
absence says nothing, and anyone can remove them.
"""

import re
from collections.abc import Mapping

from warehouse.exif_values import numbers, text

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
    | adobe\ firefly | ideogram | leonardo\.ai | flux\.1 | dreamstudio | craiyon | nightcafe
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)

# IPTC NewsCodes "digital source type" (http://cv.iptc.org/newscodes/digitalsourcetype/): made by a model or an
# algorithm, wholly or in part. Captures and scans are the other terms.
_GENERATED_SOURCES = frozenset(
    {
        "trainedalgorithmicmedia",
        "compositewithtrainedalgorithmicmedia",
        "compositesynthetic",
        "algorithmicmedia",
        "datadrivenmedia",
        "virtualrecording",
    }
)
_CAPTURED_SOURCES = frozenset({"digitalcapture", "computationalcapture", "compositecapture"})

# PNG text in which the common user interfaces keep the prompt or the graph; exiftool capitalises the first letter.
_PNG_TEXT = frozenset(
    {"parameters", "prompt", "workflow", "dream", "sd-metadata", "invokeai_metadata", "generation_data"}
)

_SOFTWARE = ("IFD0:Software", "PNG:Software", "XMP-xmp:CreatorTool", "XMP-tiff:Software")


def edit_evidence(tags: Mapping[str, object]) -> tuple[str, ...]:
    """What in `tags` says that the picture was edited, composed of several or scanned; empty if nothing does.

    Software (0x0131) or CreatorTool names an editor; CustomRendered (0xA401) is not 0; CompositeImage (0xA460) is 2
    or 3; FileSource (0xA300) is 1 or 2, a scanner; XMP carries an editing history.
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
    return tuple(evidence)


def generator_evidence(tags: Mapping[str, object]) -> tuple[str, ...]:
    """What in `tags` says that a generator made the picture; empty if nothing does.

    IPTC DigitalSourceType, wherever it stands (XMP, C2PA actions); generators' PNG text or UserComment (0x9286); a
    C2PA manifest, unless the only source types it states are captures, as signing cameras do; Software.
    """
    sources = {
        word: tag for tag in sorted(tags) if tag.lower().endswith("digitalsourcetype") for word in _terms(tags[tag])
    }
    evidence = [f"{tag}: {word}" for word, tag in sources.items() if word in _GENERATED_SOURCES]
    manifest = any(
        tag.endswith("JUMDLabel") and "c2pa" in str(text(value)).lower() for tag, value in tags.items()
    ) or any(tag.startswith("JUMBF:C2PA") for tag in tags)
    if manifest and not (sources and sources.keys() <= _CAPTURED_SOURCES):
        evidence.append("C2PA manifest")
    evidence += [
        f"PNG text {tag.partition(':')[2].lower()}"
        for tag in sorted(tags)
        if tag.startswith("PNG:") and tag.partition(":")[2].lower() in _PNG_TEXT
    ]
    comment = tags.get("ExifIFD:UserComment")
    if isinstance(comment, str) and "Steps: " in comment and "Sampler: " in comment:
        evidence.append("ExifIFD:UserComment: generation parameters")
    evidence += [f"{tag}: {name}" for tag, name in _names(tags) if _GENERATORS.search(name)]
    return tuple(evidence)


def _names(tags: Mapping[str, object]) -> list[tuple[str, str]]:
    """The programs that the file names, each with its tag."""
    return [(tag, str(text(tags[tag]))) for tag in _SOFTWARE if tag in tags]


def _terms(value: object) -> list[str]:
    """The last path segments, in lower case, of one or several NewsCodes addresses."""
    items = value if isinstance(value, list) else [value]
    return [str(text(item)).lower().rstrip("/").rpartition("/")[2] for item in items]
