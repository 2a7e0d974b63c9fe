"""Every table and every column of the home, once: type, unit, meaning, EXIF tag id.

What is here is read by the store (types, keys, order), by Dagster (column schemas), by the catalogue (comments) and by
the documentation. How tables are written belongs in `store.py`; how their values come about belongs to the stages.
"""

from dataclasses import dataclass

import pyarrow as pa

STRING = pa.string()
INT8 = pa.int8()
INT16 = pa.int16()
INT32 = pa.int32()
INT64 = pa.int64()
FLOAT = pa.float64()
BOOL = pa.bool_()
BINARY = pa.binary()
VECTOR = pa.list_(pa.float32())


@dataclass(frozen=True)
class Column:
    """One column: Arrow type, meaning, and where there is one the unit and the EXIF tag id it comes from."""

    name: str
    type: pa.DataType
    description: str
    unit: str | None = None
    exif: int | None = None

    @property
    def comment(self) -> str:
        """The description with unit and EXIF tag id, as shown in DuckDB and in Dagster."""
        unit = f" [{self.unit}]" if self.unit else ""
        exif = f" (EXIF 0x{self.exif:04X})" if self.exif is not None else ""
        return f"{self.description}{unit}{exif}"


@dataclass(frozen=True)
class Table:
    """One table. `key` identifies a row and is the order of rows on disk; `version` moves when a column does.

    `copied` says whether the catalogue holds a copy (so that queries need no other file) or a view on the Parquet
    files. `shard_rows` is how many rows make a shard, the unit of work and of retry.
    """

    name: str
    description: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    version: int = 1
    copied: bool = True
    shard_rows: int = 4096
    row_group_rows: int = 100_000

    @property
    def arrow(self) -> pa.Schema:
        """The Arrow schema, with comments as field metadata."""
        return pa.schema(
            [
                pa.field(c.name, c.type, nullable=c.name not in self.key, metadata={"comment": c.comment})
                for c in self.columns
            ]
        )

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return tuple(c.name for c in self.columns)


PHOTO_ID = Column("photo_id", STRING, "SHA-256 of the file's bytes, hexadecimal")
IMAGE_ID = Column("image_id", STRING, "SHA-256 of the file's bytes, hexadecimal")
DATASET = Column("dataset", STRING, "name of the benchmark set, as registered")
GENERATOR = Column("generator", STRING, "what made the image; `real` for photographs")
TRACK = Column(
    "track", STRING, "what happens to every image before it is judged: as_shipped, format_matched, in_the_wild"
)
PERTURBATION = Column("perturbation", STRING, "what was done to the image after the track, as jpeg_75; `none`")
BACKBONE = Column("backbone", STRING, "identity of the backbone: digest of configuration, data and code version")
DETECTOR = Column("detector", STRING, "name of the detector")
DETECTOR_ID = Column("detector_id", STRING, "identity of the fitted detector: digest of its contents")
FOLD = Column("fold", INT8, "fold of the group: 0-2 train and fit, 3 validates, 4 calibrates")
SPAN = Column("span", STRING, "offset+size in bytes within its tar shard; null where a file is a picture")
GROUP = Column("group", STRING, "what is held out together (a photographer, a repository)")

TAG_LOSS = "loss of "
"""How the series of `training_curve` that are the loss of one tag begin."""
TAG_ACCURACY = "accuracy of "
"""How those begin that are the accuracy of one tag on the validation photographs."""

RANKED_COLUMNS = (
    Column("f_number", FLOAT, "aperture: focal length over pupil diameter", "f/N", 0x829D),
    Column("exposure_time_s", FLOAT, "exposure time", "s", 0x829A),
    Column("iso", FLOAT, "sensitivity", "ISO", 0x8827),
    Column("focal_length_mm", FLOAT, "focal length of the lens", "mm", 0x920A),
    Column("focal_length_35mm_mm", FLOAT, "focal length that has this field of view on 35 mm film", "mm", 0xA405),
    Column("exposure_bias_ev", FLOAT, "exposure compensation", "EV", 0x9204),
    Column("brightness_ev", FLOAT, "brightness of the scene, APEX", "EV", 0x9203),
)
CATEGORICAL_COLUMNS = (
    Column("make", STRING, "maker of the camera, normalised", exif=0x010F),
    Column("model", STRING, "model of the camera without the maker's name, normalised", exif=0x0110),
    Column("flash", STRING, "no_function, not_fired, fired or fired_auto", exif=0x9209),
    Column(
        "metering_mode",
        STRING,
        "average, centre_weighted, spot, multi_spot, pattern, partial or other",
        exif=0x9207,
    ),
    Column("exposure_mode", STRING, "auto, manual, bracket or other", exif=0xA402),
    Column("white_balance", STRING, "auto or manual", exif=0xA403),
    Column("scene_capture_type", STRING, "standard, landscape, portrait, night or other", exif=0xA406),
)

_FURTHER_EXIF = (
    Column(
        "exposure_program",
        STRING,
        "manual, program, aperture_priority, shutter_priority and so on",
        exif=0x8822,
    ),
    Column("light_source", STRING, "light source as the camera named it", exif=0x9208),
    Column("digital_zoom_ratio", FLOAT, "digital zoom; 1 = not used", "ratio", 0xA404),
    Column("max_aperture_f_number", FLOAT, "widest aperture of the lens", "f/N", 0x9205),
    Column("orientation", INT8, "how to turn the stored pixels for display, 1-8", exif=0x0112),
    Column(
        "taken_at",
        STRING,
        "when the photograph was taken, in the camera's own local time",
        exif=0x9003,
    ),
    Column("software", STRING, "program or firmware that wrote the file", exif=0x0131),
)

_FILE_FACTS = (
    Column("format", STRING, "format by its first bytes, as Pillow names it, or the raw format, as DNG"),
    Column("width", INT32, "stored width; null where only the metadata can be read", "px"),
    Column("height", INT32, "stored height; null where only the metadata can be read", "px"),
    Column("size_bytes", INT64, "size of the file", "bytes"),
)

_CORPUS = (
    Table(
        "files",
        "Each file of a registered corpus: where it is, and which photograph it holds, or held before it changed.",
        ("corpus", "uri", "revision"),
        (
            Column("corpus", STRING, "name of the corpus, as registered"),
            Column("uri", STRING, "path below the corpus, or address; of a picture in a tar shard its path in there"),
            Column("revision", INT32, "0 for the first content seen at this place, 1 for the next, and so on"),
            Column("modified_ns", INT64, "time of last change, since 1970; null where the source does not tell", "ns"),
            Column("etag", STRING, "what a server tells contents apart by; null where the source has none"),
            SPAN,
            GROUP,
            Column(
                "state",
                STRING,
                "photo; quarantined (then the quarantine table says why); replaced (another content is there now); "
                "vanished (nothing is there any more)",
            ),
            PHOTO_ID,
            *_FILE_FACTS,
            Column("source", STRING, "JSON object of what the source says beside it, as source_NAME; null if none"),
        ),
        version=2,
    ),
    Table(
        "photos",
        "One row for each photograph by content: the same bytes under two names are one photograph.",
        ("photo_id",),
        (
            PHOTO_ID,
            Column("corpus", STRING, "first corpus, in the order of registration, that holds it"),
            Column("uri", STRING, "its first place there"),
            SPAN,
            Column("modified_ns", INT64, "time of last change of that file, since 1970; null where not known", "ns"),
            GROUP,
            Column("use", STRING, "uses of all corpora that hold it, joined by +"),
            Column("places", INT32, "number of files with these bytes"),
            *_FILE_FACTS,
        ),
        version=2,
    ),
    Table(
        "splits",
        "The fold of each group. A new group joins the smallest fold and never moves.",
        ("group",),
        (GROUP, FOLD, Column("photos", INT64, "photographs of the group when it joined")),
    ),
)

_EXIF = (
    Table(
        "exif_raw",
        "What exiftool printed, without the System group and without private tags (places, serial numbers, names).",
        ("photo_id",),
        (
            PHOTO_ID,
            Column("tags", STRING, "JSON object: group:tag to value, numbers unconverted (-n -G1 -fast)"),
            Column("warnings", STRING, "exiftool's warnings, joined by line feeds; null if none"),
            Column("exiftool_version", STRING, "version of the program"),
        ),
        copied=False,
    ),
    Table(
        "exif",
        "EXIF of each photograph in typed columns with units. Missing is null, never zero; exif_issues says why.",
        ("photo_id",),
        (
            PHOTO_ID,
            *CATEGORICAL_COLUMNS,
            *RANKED_COLUMNS,
            *_FURTHER_EXIF,
            Column("edited", BOOL, "the file says that it was edited, composed or scanned; marked, not dropped"),
            Column("edit_evidence", STRING, "what says so, by `; `"),
            Column(
                "resized_or_cropped",
                BOOL,
                "EXIF states another size (0xA002 and 0xA003, else 0x0100 and 0x0101) than the stored pixels have, "
                "upright or turned; null where either is not known; apart from edited, never a reason to leave it out",
            ),
            Column(
                "generator_mark",
                STRING,
                "what says that a generator made it (C2PA, IPTC, PNG text, XMP, software), by `; `; never a feature",
            ),
            Column(
                "digital_source_type", STRING, "IPTC digital source types in XMP and C2PA, by `; `; never a feature"
            ),
            Column("c2pa_claim_generator", STRING, "program that signed the C2PA manifest; never a feature"),
            Column("simulated", BOOL, "rendered by the simulator of this project"),
        ),
        version=2,
    ),
    Table(
        "exif_issues",
        "Every EXIF value that was not taken as it stood, and why.",
        ("photo_id", "tag", "reason"),
        (
            PHOTO_ID,
            Column("tag", STRING, "the tag, with exiftool's group"),
            Column("reason", STRING, "reason code: `Reason` in warehouse/exif_values.py has them all"),
            Column(
                "raw_value", STRING, "the value as printed, cut to 200 characters; text about persons only by length"
            ),
        ),
    ),
    Table(
        "exif_pillow",
        "The second opinion: what Pillow's own reader says of each photograph's EXIF, by the rules of table exif.",
        ("photo_id",),
        (
            PHOTO_ID,
            Column(
                "failure", STRING, "why Pillow read nothing: not_opened or not_read, and the error; null where it did"
            ),
            *CATEGORICAL_COLUMNS,
            *RANKED_COLUMNS,
            *_FURTHER_EXIF,
        ),
        copied=False,
    ),
    Table(
        "exif_agreement",
        "How often Pillow's reader says the same as exiftool, by column of table exif, in files that Pillow can read.",
        ("tag",),
        (
            Column("tag", STRING, "column of the table exif"),
            Column("compared", INT64, "photographs that have it by both", "photographs"),
            Column("agreed", INT64, "those where both say the same", "photographs"),
            Column("only_exiftool", INT64, "photographs that have it by exiftool alone", "photographs"),
            Column("only_pillow", INT64, "photographs that have it by Pillow alone", "photographs"),
        ),
    ),
    Table(
        "exif_disagreements",
        "Each value that exiftool and Pillow read differently, or that only one of them read.",
        ("photo_id", "tag"),
        (
            PHOTO_ID,
            Column("tag", STRING, "column of the table exif"),
            Column("exiftool", STRING, "its value in table exif; null if none"),
            Column("pillow", STRING, "its value in table exif_pillow; null if none"),
        ),
    ),
)

_TRAINING = (
    Table(
        "crops",
        "Lossless crops of 256 x 256 stored pixels of the training photographs, at seeded places.",
        ("photo_id", "crop"),
        (
            PHOTO_ID,
            Column("crop", INT16, "number of the crop within its photograph"),
            Column("x", INT32, "left edge in stored pixels", "px"),
            Column("y", INT32, "upper edge in stored pixels", "px"),
            Column("png", BINARY, "the crop as PNG, 8-bit RGB"),
        ),
        copied=False,
        shard_rows=256,
        row_group_rows=64,
    ),
    Table(
        "pretext_targets",
        "What the backbone is asked to tell from pixels: 7 classified and 7 ranked tags, null where missing.",
        ("photo_id",),
        (PHOTO_ID, GROUP, FOLD, *CATEGORICAL_COLUMNS, *RANKED_COLUMNS),
    ),
    Table(
        "camera_statistics",
        "What cameras left in photographs with EXIF, as shipped: noise, neighbours, spectrum; tags are read from it.",
        ("photo_id",),
        (
            PHOTO_ID,
            Column("squares", INT32, "squares of 128 x 128 px that were described", "squares"),
            Column("statistics", VECTOR, "1,014 numbers, as models/camera_statistics.py has them; NaN: unknown"),
        ),
        copied=False,
        shard_rows=256,
    ),
    Table(
        "backbones",
        "The backbones in use: the trained one and its untrained companion.",
        ("role",),
        (
            Column("role", STRING, "trained (the one in use) or untrained (its companion)"),
            Column("origin", STRING, "trained here, imported, or untrained"),
            BACKBONE,
            Column("preset", STRING, "size: full (as published) or compact"),
            Column("parameters", INT64, "trainable parameters without heads"),
            Column("feature_dimension", INT32, "length of a feature vector"),
            Column("steps", INT64, "training steps of the kept weights; null if imported"),
            Column("photographs", INT64, "photographs it was trained on; null if imported"),
            Column("groups", INT64, "groups it was trained on; null if imported", "groups"),
            Column("simulated_only", BOOL, "it saw nothing but simulated photographs"),
        ),
        version=2,
    ),
    Table(
        "pretext_metrics",
        "How well the backbone tells each tag on groups it never saw (fold 3).",
        ("backbone", "tag"),
        (
            BACKBONE,
            Column("tag", STRING, "the EXIF tag"),
            Column("kind", STRING, "categorical (value = accuracy) or ranked (value = pairwise ranking accuracy)"),
            Column("labelled", INT64, "validation photographs that have the tag"),
            Column("groups", INT64, "groups they come from", "groups"),
            Column("value", FLOAT, "accuracy, or share of pairs in the right order"),
            Column("value_low", FLOAT, "lower end of the 95% bootstrap interval over groups"),
            Column("value_high", FLOAT, "upper end of the 95% bootstrap interval over groups"),
            Column("baseline", FLOAT, "what knowing nothing gives: share of the majority class, or .5"),
            Column("tie_rate", FLOAT, "ranked tags: share of pairs with equal values, left out"),
            Column("within_groups", FLOAT, "ranked tags: the same over pairs within one group"),
            Column("within_low", FLOAT, "lower end of its 95% bootstrap interval over groups"),
            Column("within_high", FLOAT, "upper end of its 95% bootstrap interval over groups"),
            Column("within_pairs", INT64, "ranked tags: pairs within one group", "pairs"),
        ),
        version=2,
    ),
    Table(
        "training_curve",
        "Loss and validation of the backbone along its training.",
        ("backbone", "series", "step"),
        (
            BACKBONE,
            Column("series", STRING, f"loss, {TAG_LOSS}<tag>, {TAG_ACCURACY}<tag>, validation gain over nothing"),
            Column("step", INT64, "training step"),
            Column("value", FLOAT, "its value"),
        ),
    ),
)

_BINARY = (
    Table(
        "binary_images",
        "The images that the binary detector is trained on and those kept from it: halved by content.",
        ("image_id",),
        (
            IMAGE_ID,
            DATASET,
            Column("uri", STRING, "path below the set's folder"),
            GENERATOR,
            Column("label", INT8, "0 photograph, 1 generated"),
            Column("part", STRING, "train, or evaluate (scored, never trained on)"),
        ),
    ),
    Table(
        "binary_crops",
        "Lossless crops of at most 256 x 256 stored pixels of the images that train the binary detector.",
        ("image_id", "crop"),
        (
            IMAGE_ID,
            Column("crop", INT16, "number of the crop within its image"),
            Column("png", BINARY, "the crop as PNG, 8-bit RGB"),
        ),
        copied=False,
        shard_rows=256,
        row_group_rows=64,
    ),
    Table(
        "reference_crops",
        "A lossless crop of at most 512 x 512 stored pixels of each reference photograph, at a seeded place.",
        ("photo_id",),
        (
            PHOTO_ID,
            GROUP,
            FOLD,
            Column("x", INT32, "left edge in stored pixels", "px"),
            Column("y", INT32, "upper edge in stored pixels", "px"),
            Column("png", BINARY, "the crop as PNG, 8-bit RGB"),
        ),
        copied=False,
        shard_rows=64,
        row_group_rows=16,
    ),
    Table(
        "autoencoders",
        "Small autoencoders trained on views of photographs; their reconstructions stand in for generated images.",
        ("make",),
        (
            Column("make", STRING, "how it is made: enlargement and factor (models/autoencoders.py)"),
            Column("autoencoders", STRING, "identity of all of them: digest of configuration, data and code version"),
            Column("held_out", BOOL, "its reconstructions judge the networks and are never learned from"),
            Column("factor", INT32, "side of the square of pixels that one position of the code stands for", "px"),
            Column("latent", INT32, "numbers kept of a position"),
            Column("parameters", INT64, "learned numbers"),
            Column("psnr", FLOAT, "peak signal-to-noise ratio on photographs of held-out sources", "dB"),
        ),
    ),
    Table(
        "reconstruction_metrics",
        "How well the networks tell photographs of held-out sources from reconstructions, by make.",
        ("network", "make"),
        (
            Column("network", STRING, "identity: digest of configuration, data, autoencoders and code version"),
            Column("make", STRING, "make of the autoencoder, or resampled"),
            Column("held_out", BOOL, "never learned from"),
            Column("photographs", INT64, "photographs judged"),
            Column("auroc", FLOAT, "all photographs against all reconstructions of the make"),
            Column("within_pairs", FLOAT, "share of reconstructions that look more like one than their own photograph"),
        ),
    ),
    Table(
        "reconstruction_networks",
        "The networks that tell photographs from their own reconstructions.",
        ("network",),
        (
            Column("network", STRING, "identity: digest of configuration, data, autoencoders and code version"),
            Column("seed", INT64, "of weights, views and pairs"),
            Column("steps", INT64, "training steps of the kept weights"),
            Column("score", FLOAT, "mean AUROC on reconstructions of held-out makes; it chose the step"),
        ),
    ),
    Table(
        "coding_networks",
        "The network that predicts what JPEG keeps of photographs.",
        ("network",),
        (
            Column("network", STRING, "identity: digest of configuration, data and code version"),
            Column("steps", INT64, "training steps of the kept weights"),
            Column(
                "nats", FLOAT, "what a coefficient costs on photographs of held-out sources; it chose the step", "nats"
            ),
        ),
    ),
    Table(
        "binary_networks",
        "The trained binary detectors: one, or with leave_one_generator_out one for each generator left out.",
        ("detector",),
        (
            DETECTOR,
            Column("network", STRING, "identity: digest of configuration, data, pretext backbone and code version"),
            BACKBONE,
            Column("seen", STRING, "generators it was trained on, as SET.GENERATOR joined by +"),
            Column("left_out", STRING, "generator it was not to see, as SET.GENERATOR; null: none"),
            Column("alpha", FLOAT, "weight of the distance to the pretext backbone's taps"),
            Column("steps", INT64, "training steps of the kept weights"),
            Column("photographs", INT64, "photographs it was trained on"),
            Column("generated", INT64, "generated images it was trained on"),
            Column(
                "validation_accuracy",
                FLOAT,
                "mean of the shares of held-out photographs and generated images it tells; these chose the step",
            ),
        ),
    ),
)

_FEATURES = (
    Column("complexity", FLOAT, "mean absolute residual of luma (square 3x3 kernel)", "grey levels"),
    Column("token0", VECTOR, "token 0 over all non-overlapping patches (published protocol)"),
)

_DETECTION = (
    Table(
        "reference_features",
        "Features of the reference photographs, by backbone and track.",
        ("backbone", "track", "photo_id"),
        (
            BACKBONE,
            TRACK,
            PHOTO_ID,
            Column("corpus", STRING, "corpus of the photograph"),
            GROUP,
            FOLD,
            *_FEATURES,
        ),
        version=3,
        copied=False,
        shard_rows=64,
    ),
    Table(
        "square_features",
        "Features of squares of 128 x 128 px of the reference photographs, of each as it is and of views of it.",
        ("photo_id", "view", "square"),
        (
            PHOTO_ID,
            Column("corpus", STRING, "corpus of the photograph"),
            GROUP,
            FOLD,
            Column("view", STRING, "track of the picture as it is, or view_1 to view_6, as it may arrive"),
            Column("square", INT16, "number of the square within the view"),
            Column("covariates", VECTOR, "coarse content: energies, brightness, colour (models/content.py)"),
            Column("handmade", VECTOR, "predictors of pixels and spectra, by scale (models/hand_features.py)"),
            Column("trained", VECTOR, "covariances of the trained backbone, by scale"),
            Column("untrained", VECTOR, "covariances of the same network with random weights"),
            Column("co_occurrences", VECTOR, "which residuals stand together, by scale (models/co_occurrences.py)"),
            Column("coding", VECTOR, "surprise by scale and coefficient of JPEG (models/coding.py)"),
        ),
        version=4,
        copied=False,
        shard_rows=64,
    ),
    Table(
        "square_logits",
        "What the networks that tell reconstructions say of squares of photographs that none of them has seen.",
        ("photo_id", "view", "square"),
        (
            PHOTO_ID,
            Column("view", STRING, "as in square_features"),
            Column("square", INT16, "number of the square within the view"),
            Column("logits", VECTOR, "of each network, in the order of their seeds: higher = more of a reconstruction"),
            Column("blockiness", FLOAT, "of the view: log ratio of steps at the edges of 8 x 8 blocks to others"),
        ),
        copied=False,
        shard_rows=64,
    ),
    Table(
        "reconstruction_pairs",
        "Squares of 128 x 128 px of the reference photographs, and what autoencoders make of them.",
        ("photo_id", "pair"),
        (
            PHOTO_ID,
            Column("corpus", STRING, "corpus of the photograph"),
            GROUP,
            FOLD,
            Column("pair", INT16, "number of the pair within the photograph"),
            Column("make", STRING, "make of the autoencoder"),
            Column("held_out", BOOL, "the make and the photograph are not learned from: they judge"),
            Column("photograph_covariates", VECTOR, "as covariates in square_features"),
            Column("photograph_handmade", VECTOR, "as handmade in square_features"),
            Column("rebuilt_covariates", VECTOR, "the same of the reconstruction"),
            Column("rebuilt_handmade", VECTOR, "the same of the reconstruction"),
        ),
        copied=False,
        shard_rows=64,
    ),
    Table(
        "detectors",
        "The fitted detectors: what each was fitted and calibrated on, and its threshold.",
        ("detector", "track"),
        (
            DETECTOR,
            TRACK,
            DETECTOR_ID,
            Column("family", STRING, "detectors that differ in what they were trained on alone; else its own name"),
            Column("detector_version", STRING, "version that its scores of pixels are kept by; null: it has none"),
            Column("backbone", STRING, "backbone of its features; null for a detector without one"),
            Column("seen", STRING, "generators it was trained on, as SET.GENERATOR joined by +; null: none"),
            Column("description", STRING, "what it looks at"),
            Column("n_fit", INT64, "photographs it was fitted on (folds 0-2)"),
            Column("n_calibration", INT64, "photographs, or views of them, its p-values rank among; null: none"),
            Column("false_positive_rate", FLOAT, "rate the threshold was set for; null for a threshold of its own"),
            Column("threshold", FLOAT, "a higher score is flagged as generated; null: nothing is"),
            Column("threshold_from", STRING, "calibration, fitting_data, or detector (its own); null: there is none"),
            Column("simulated_only", BOOL, "it saw nothing but simulated photographs"),
        ),
        version=2,
    ),
    Table(
        "champions",
        "The detector that answers `sdaie detect`.",
        ("detector",),
        (DETECTOR, DETECTOR_ID),
    ),
    Table(
        "photo_scores",
        "Scores of reference photographs that the fit has not seen: folds 3 (validation) and 4 (calibration).",
        ("detector", "track", "photo_id"),
        (
            DETECTOR,
            TRACK,
            PHOTO_ID,
            Column("corpus", STRING, "corpus of the photograph"),
            GROUP,
            FOLD,
            Column("score", FLOAT, "higher = more likely generated"),
            Column("p_value", FLOAT, "conformal p-value among the calibration photographs"),
            Column("flagged", BOOL, "score above the threshold"),
        ),
    ),
    Table(
        "pretext_outputs",
        "What the heads of the trained backbone say of photographs it has not learned from: folds 3 and 4.",
        ("photo_id",),
        (
            PHOTO_ID,
            BACKBONE,
            Column("squares", INT32, "squares of 128 x 128 px of which the heads were asked", "squares"),
            Column("outputs", VECTOR, "head after head: logits of a categorical tag's classes, score of a ranked tag"),
        ),
        copied=False,
        shard_rows=256,
        version=2,
    ),
    Table(
        "exif_claims",
        "How well a photograph's own EXIF is told from another's by the pixels, on sources never seen; .5 is chance.",
        ("backbone", "read_by", "tag", "swapped_with"),
        (
            BACKBONE,
            Column("read_by", STRING, "what reads tags from pixels: the backbone's heads, or statistics"),
            Column("judges", BOOL, "whether this judges pictures: it tells all tags together better"),
            Column("tag", STRING, "the EXIF tag; `all` for all of them together"),
            Column(
                "swapped_with",
                STRING,
                "whose EXIF takes the place of the own: another_source's, of the same_corpus or of another_model",
            ),
            Column("photographs", INT64, "photographs that exchanged this tag", "photographs"),
            Column("sources", INT64, "sources they come from", "groups"),
            Column("pairs", INT64, "pairs of photographs that exchanged it", "pairs"),
            Column("auroc", FLOAT, "area under the ROC curve, swapped = positive; null: the pixels say nothing of it"),
            Column("auroc_low", FLOAT, "auroc: lower end of the 95% bootstrap interval over sources"),
            Column("auroc_high", FLOAT, "auroc: upper end of the 95% bootstrap interval over sources"),
            Column("found_at_5", FLOAT, "share of swapped values whose p-value is at most .05"),
            Column("own_05", FLOAT, "5% quantile of the nonconformity of photographs with their own EXIF", "nats"),
            Column("own_50", FLOAT, "its median", "nats"),
            Column("own_95", FLOAT, "its 95% quantile", "nats"),
        ),
        version=2,
    ),
)

_INTERVALS = tuple(
    column
    for name, description in (
        ("auroc", "area under the ROC curve, generated = positive"),
        ("auroc_equal_complexity", "AUROC within bins of equal mean absolute residual"),
        ("average_precision", "average precision, generated = positive"),
        ("tpr_at_5_fpr", "share of generated images found when 5% of photographs are flagged"),
        ("accuracy_real", "share of photographs not flagged at the frozen threshold"),
        ("accuracy_fake", "share of generated images flagged at the frozen threshold"),
        ("balanced_accuracy", "mean of accuracy_real and accuracy_fake"),
    )
    for column in (
        Column(name, FLOAT, description),
        Column(f"{name}_low", FLOAT, f"{name}: lower end of the 95% bootstrap interval"),
        Column(f"{name}_high", FLOAT, f"{name}: upper end of the 95% bootstrap interval"),
    )
)

_BENCHMARK = (
    Table(
        "benchmark_images",
        "The images of the benchmark sets, by content.",
        ("dataset", "image_id"),
        (
            DATASET,
            IMAGE_ID,
            Column("uri", STRING, "path below the set's folder"),
            Column("label", INT8, "0 photograph, 1 generated"),
            GENERATOR,
            Column("source", STRING, "where the image comes from; several joined by +"),
            Column("paired_real", STRING, "sources of photographs it is compared with, joined by +; null = all"),
            *_FILE_FACTS,
            Column(
                "jpeg_quality", INT16, "quality of its JPEG tables, 1-100, as libjpeg counts; null for other formats"
            ),
            Column("chroma_subsampling", STRING, "of a JPEG: 4:4:4, 4:2:2, 4:2:0 or other; null for other formats"),
            Column("simulated", BOOL, "rendered by the simulator of this project"),
        ),
        version=2,
    ),
    Table(
        "perceptual_hashes",
        "Perceptual hash of each photograph (partition `photos`) and benchmark image: near ones look alike.",
        ("content", "dataset"),
        (
            Column("content", STRING, "SHA-256 of the file's bytes, hexadecimal"),
            Column("dataset", STRING, "benchmark set; `photos` for the photographs of the corpora"),
            Column("uri", STRING, "path below the source"),
            Column("hash", STRING, "64 bits, hexadecimal"),
        ),
        copied=False,
        shard_rows=512,
    ),
    Table(
        "near_duplicates",
        "Benchmark images that look like a picture that was learned from (a photograph, or an image that trains the "
        "binary detector), without having its bytes: a warning.",
        ("dataset", "image_id", "photo_id"),
        (
            DATASET,
            IMAGE_ID,
            PHOTO_ID,
            Column("uri", STRING, "path of the image below the set's folder"),
            GENERATOR,
            Column("corpus", STRING, "corpus of the photograph, or the set whose image trained the binary detector"),
            Column("photo_uri", STRING, "path of the photograph below its source"),
            Column("distance", INT8, "bits in which the perceptual hashes differ", "bits"),
        ),
    ),
    Table(
        "benchmark_features",
        "Features of the benchmark images, by backbone, track and perturbation.",
        ("dataset", "backbone", "track", "perturbation", "image_id"),
        (
            DATASET,
            BACKBONE,
            TRACK,
            PERTURBATION,
            IMAGE_ID,
            *_FEATURES,
            Column("reason", STRING, "why there are no features; null where there are"),
        ),
        version=3,
        copied=False,
        shard_rows=64,
    ),
    Table(
        "pixel_scores",
        "What detectors that look at pixels or at file facts say of images; partition `reference`: of photographs.",
        ("detector", "dataset", "track", "perturbation", "image_id"),
        (
            DETECTOR,
            Column("detector_version", STRING, "version of the detector, as it gives it"),
            Column("dataset", STRING, "benchmark set; the corpus for reference photographs"),
            TRACK,
            PERTURBATION,
            IMAGE_ID,
            Column("score", FLOAT, "higher = more likely generated; null with a reason"),
            Column("reason", STRING, "why there is no score; null where there is one"),
        ),
        copied=False,
        shard_rows=64,
    ),
    Table(
        "benchmark_scores",
        "What each detector says of each benchmark image.",
        ("detector", "dataset", "image_id", "track", "perturbation"),
        (
            DETECTOR,
            DATASET,
            IMAGE_ID,
            TRACK,
            PERTURBATION,
            DETECTOR_ID,
            GENERATOR,
            Column("label", INT8, "0 photograph, 1 generated"),
            Column("score", FLOAT, "higher = more likely generated; null where the image could not be judged"),
            Column("p_value", FLOAT, "conformal p-value among the calibration photographs"),
            Column("flagged", BOOL, "score above the frozen threshold"),
            Column("reason", STRING, "why there is no score; null where there is one"),
        ),
    ),
    Table(
        "benchmark_metrics",
        "Metrics by detector, generator and track. Generated is positive. Generator `all` pools the whole set, "
        "`small_sets` those with fewer than 20 generated images.",
        ("detector", "dataset", "generator", "track", "perturbation"),
        (
            DETECTOR,
            DATASET,
            Column("generator", STRING, "the generator, `small_sets` or `all`"),
            TRACK,
            PERTURBATION,
            DETECTOR_ID,
            Column("n_real", INT64, "photographs scored"),
            Column("n_fake", INT64, "generated images scored"),
            Column("left_out", INT64, "images without a score on this track"),
            Column("seen", BOOL, "the detector was trained on images of this generator; left out of mean and `all`"),
            *_INTERVALS,
            Column("tpr_at_1_fpr", FLOAT, "share of generated images found when 1% of photographs are flagged"),
        ),
        version=2,
    ),
    Table(
        "benchmark_comparisons",
        "Is one detector better than another on the same images? Difference in AUROC, `detector` minus `other`.",
        ("dataset", "track", "generator", "detector", "other"),
        (
            DATASET,
            TRACK,
            Column("generator", STRING, "the generator, `small_sets` or `all`"),
            DETECTOR,
            Column("other", STRING, "name of the detector it is compared with"),
            Column("n_real", INT64, "photographs scored by both"),
            Column("n_fake", INT64, "generated images scored by both"),
            Column("difference", FLOAT, "AUROC of the detector minus AUROC of the other"),
            Column("difference_low", FLOAT, "lower end of the 95% interval of paired bootstrap draws"),
            Column("difference_high", FLOAT, "upper end of the 95% interval of paired bootstrap draws"),
            Column("p_value", FLOAT, "two-sided p-value of DeLong's test for equal AUROC"),
        ),
    ),
    Table(
        "benchmark_extremes",
        "The most and the least photographic images of each set by the champion, with small pictures.",
        ("dataset", "label", "side", "place"),
        (
            DATASET,
            Column("label", INT8, "0 photograph, 1 generated"),
            Column("side", STRING, "most (lowest scores) or least (highest scores) photographic"),
            Column("place", INT16, "1 = the most extreme"),
            IMAGE_ID,
            GENERATOR,
            DETECTOR,
            TRACK,
            Column("score", FLOAT, "higher = more likely generated"),
            Column("p_value", FLOAT, "conformal p-value among the calibration photographs"),
            Column("picture", BINARY, "small JPEG, at most 120 px on a side"),
        ),
    ),
    Table(
        "benchmark_calibration",
        "Realised against nominal false-positive rate on every source of photographs.",
        ("detector", "track", "origin", "source", "nominal_fpr"),
        (
            DETECTOR,
            TRACK,
            Column("origin", STRING, "validation (fold 3 of a corpus) or the benchmark set"),
            Column("source", STRING, "corpus, or source of photographs within the set"),
            Column("nominal_fpr", FLOAT, "false-positive rate asked for"),
            Column("photographs", INT64, "photographs judged"),
            Column("flagged", INT64, "photographs with a p-value at or below the nominal rate"),
            Column("realised_fpr", FLOAT, "share flagged"),
            Column("realised_low", FLOAT, "lower end of the 95% Clopper-Pearson interval"),
            Column("realised_high", FLOAT, "upper end of the 95% Clopper-Pearson interval"),
        ),
    ),
)

_JUDGED = (
    Column("gate", STRING, "what is asked of a new detector: pretext_validation, realised_false_positive_rate, ..."),
    Column("subject", STRING, "what it was measured on: a benchmark set, or photographs held out"),
    Column("value", FLOAT, "what was measured of the challenger; null: nothing to measure it on"),
    Column("champion_value", FLOAT, "the same of the champion at that time; null: none, or not measured"),
    Column("bound", FLOAT, "the least, or for a rate the nominal one that the interval has to hold; null: none"),
    Column("low", FLOAT, "lower end of the 95% interval of the value"),
    Column("high", FLOAT, "upper end of the 95% interval of the value"),
    Column("measured_on", STRING, "digest of the images it was measured on: equal ones can be compared"),
    Column("passed", BOOL, "whether this does not stand against the challenger"),
    Column("reason", STRING, "the same in words, with both numbers"),
)

_PROMOTION = (
    Table(
        "gates",
        "What the newest detector, the challenger, was asked before it may answer, and how it did.",
        ("challenger", "gate", "subject"),
        (Column("challenger", STRING, "identity of the detector judged"), *_JUDGED),
    ),
    Table(
        "promotions",
        "Every decision on which detector answers, in its order, a row for each reason. A history, so it has times.",
        ("number", "gate", "subject"),
        (
            Column("number", INT64, "of the decision, from 1"),
            Column("decided_at", STRING, "UTC, ISO 8601"),
            Column("decision", STRING, "promoted, refused, promoted_by_hand or rolled_back"),
            Column("by", STRING, "pipeline or person"),
            Column("challenger", STRING, "identity of the detector decided upon"),
            Column("champion_before", STRING, "identity of the detector that answered until then; null: none"),
            Column("champion", STRING, "identity of the detector that answers from then on; null: none"),
            *_JUDGED,
        ),
    ),
    Table(
        "champion_photographs",
        "Which photographs a detector and its backbone have seen: what has come in since is what these lack.",
        ("detector_id", "photo_id"),
        (DETECTOR_ID, PHOTO_ID),
        copied=False,
    ),
    Table(
        "drift",
        "Photographs that came in since the champion was made, beside those it was made from: is retraining due?",
        ("measure", "subject"),
        (
            Column(
                "measure",
                STRING,
                "new_photographs, unseen_make, unseen_model, missing_tag, score_sample, p_values, flagged; retraining: "
                "whether any of them makes it due",
            ),
            Column("subject", STRING, "the tag, or what became of photographs of the sample; else all"),
            Column("champion", STRING, "identity of the detector that answers; null: none"),
            Column("before", FLOAT, "share of the photographs before; of p_values the median"),
            Column("now", FLOAT, "share of the new photographs, or of all for new_photographs; of p_values the median"),
            Column("count_before", INT64, "photographs that `before` counts", "photographs"),
            Column("of_before", INT64, "those it is a share of", "photographs"),
            Column("count_now", INT64, "photographs that `now` counts", "photographs"),
            Column("of_now", INT64, "those it is a share of", "photographs"),
            Column("low", FLOAT, "lower end of the 95% Clopper-Pearson interval of `now`, or its one-sided bound"),
            Column("high", FLOAT, "upper end of the interval; null where the bound is one-sided"),
            Column("p_value", FLOAT, "of no drift: missing_tag by Fisher with Holm's correction; else by ranks"),
            Column("due", BOOL, "this makes retraining due"),
            Column("reason", STRING, "the same in words, with both numbers"),
        ),
    ),
    Table(
        "drift_scores",
        "What the champion says of new photographs: of a sample of at most 200, spread over groups.",
        ("detector_id", "photo_id"),
        (
            DETECTOR_ID,
            PHOTO_ID,
            Column("score", FLOAT, "higher = more likely generated"),
            Column("p_value", FLOAT, "conformal p-value among the calibration photographs"),
        ),
        copied=False,
        shard_rows=64,
    ),
)

_HOUSE = (
    Table(
        "quarantine",
        "Everything that did not go on to the next stage, and why. Nothing is lost: in = out + quarantined.",
        ("stage", "source", "uri", "reason"),
        (
            Column("stage", STRING, "stage that could not use it"),
            Column("source", STRING, "corpus or benchmark set"),
            Column("uri", STRING, "path below the source"),
            Column("reason", STRING, "reason code"),
            Column("detail", STRING, "the reason in words"),
            PHOTO_ID,
        ),
    ),
    Table(
        "publications",
        "What was published last: the catalogue and the report, and the digest of what they show.",
        ("file",),
        (
            Column("file", STRING, "file in the home"),
            Column("digest", STRING, "digest of the tables it was made from"),
        ),
        copied=False,
    ),
)

TABLES: dict[str, Table] = {
    t.name: t for t in (*_CORPUS, *_EXIF, *_TRAINING, *_BINARY, *_DETECTION, *_BENCHMARK, *_PROMOTION, *_HOUSE)
}
