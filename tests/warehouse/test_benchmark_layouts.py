import json
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from warehouse.benchmark_sets import Listing, generators, list_images, read_set
from warehouse.file_facts import look
from warehouse.home import UserError
from warehouse.source_folder import read_bytes

# The 17 sets of docs/method.md, section 6, as their archives unpack: the generator's folder, and those down to the
# folders of the labels.
CLASSES = {
    "progan": ("airplane/", "cat/"),
    "stylegan": ("bedroom/", "cat/"),
    "biggan": ("",),
    "cyclegan": ("horse/", "winter/"),
    "stargan": ("",),
    "gaugan": ("",),
    "stylegan2": ("car/", "church/"),
    "whichfaceisreal": ("",),
    "DALLE2": ("",),
    "sd_xl": ("",),
}
UNPACKED = {
    "ADM": "imagenet_ai_0508_adm/",
    "glide": "imagenet_glide/",
    "Midjourney": "imagenet_midjourney/",
    "stable_diffusion_v_1_4": "imagenet_ai_0419_sdv4/",
    "stable_diffusion_v_1_5": "imagenet_ai_0424_sdv5/",
    "VQDM": "imagenet_ai_0419_vqdm/",
    "wukong": "imagenet_ai_0424_wukong/",
}


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def pictures(root: Path, *names: str) -> None:
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(root / name)


def debris(root: Path, folder: str) -> None:
    """What file managers, archivers and notebooks leave in folders of pictures."""
    touch(root, f"{folder}/Thumbs.db", f"{folder}/.DS_Store", f"{folder}/._0.png", f"{folder}/.ipynb_checkpoints/0.png")
    touch(root, f"__MACOSX/{folder}/0.png", f".cache/{folder}/0.png", "README.txt", "licence.pdf")


@pytest.mark.parametrize("generator", [*CLASSES, *UNPACKED])
def test_a_set_of_aigcdetectbenchmark(tmp_path: Path, generator: str) -> None:
    groups = CLASSES.get(generator, ("",))
    names = [
        f"{generator}/{group}{label}/{n}.png" for group in groups for label in ("0_real", "1_fake") for n in range(2)
    ]
    pictures(tmp_path, *names)
    debris(tmp_path, f"{generator}/{groups[0]}0_real")
    found = read_set(tmp_path)
    assert found.layout == "AIGCDetectBenchmark"
    assert [image.uri for image in found.images] == sorted(names)
    assert_paired(tmp_path, generator)
    assert found.notes == ("2 files outside the folders of the layout are left out",)


@pytest.mark.parametrize("generator", UNPACKED)
def test_a_set_of_genimage(tmp_path: Path, generator: str) -> None:
    folder = f"{generator}/{UNPACKED[generator]}"
    measured = [f"{folder}val/{label}/{n}.png" for label in ("nature", "ai") for n in range(2)]
    pictures(tmp_path, *measured, *(name.replace("val", "train") for name in measured))
    debris(tmp_path, f"{folder}val/ai")
    found = read_set(tmp_path)
    assert found.layout == "GenImage"
    assert [image.uri for image in found.images] == sorted(measured)
    assert_paired(tmp_path, generator)
    assert found.notes[0] == "4 files in folders `train` are left out: `val` is taken where there is one"


def assert_paired(root: Path, generator: str) -> None:
    """Every listed file is a picture, both labels are there, and each generated one names its own photographs."""
    found = list_images(root)
    assert generators(root) == sorted(["real", generator])
    for image in found:
        assert look(read_bytes(root, image.uri)).format == "PNG"
        assert image.label == (not ("0_real" in image.uri or "nature" in image.uri))
        wanted = (generator, generator) if image.label else ("real", None)
        assert (image.generator, image.paired_real, image.source) == (*wanted, generator)
    assert len(Counter(image.label for image in found)) == 2


def test_all_sets_of_one_layout_are_one_set_of_several_generators(tmp_path: Path) -> None:
    pictures(tmp_path, *(f"{name}/{word}val/ai/0.png" for name, word in UNPACKED.items()))
    assert generators(tmp_path) == sorted(UNPACKED)


def test_names_of_layout_folders_count_in_any_case(tmp_path: Path) -> None:
    touch(tmp_path, "SDXL/VAL/AI/1.PNG", "SDXL/Val/Nature/2.JPG")
    assert [(image.label, image.source) for image in list_images(tmp_path)] == [(1, "SDXL"), (0, "SDXL")]


def test_the_folder_of_one_generator_is_a_set_by_its_own_name(tmp_path: Path) -> None:
    touch(tmp_path / "whichfaceisreal", "0_real/1.png", "1_fake/deep/2.png")
    touch(tmp_path / "imagenet_glide", "val/nature/1.png", "train/ai/2.png", "val/ai/3.png")
    assert generators(tmp_path / "whichfaceisreal") == ["real", "whichfaceisreal"]
    assert [image.uri for image in list_images(tmp_path / "imagenet_glide")] == ["val/ai/3.png", "val/nature/1.png"]
    assert generators(tmp_path / "imagenet_glide") == ["imagenet_glide", "real"]


def test_a_generator_without_val_is_measured_on_train(tmp_path: Path) -> None:
    touch(tmp_path, "adm/x/train/ai/1.png", "adm/x/train/nature/2.png", "vqdm/x/train/ai/3.png", "vqdm/x/val/ai/4.png")
    found = read_set(tmp_path)
    assert [image.uri for image in found.images] == [
        "adm/x/train/ai/1.png",
        "adm/x/train/nature/2.png",
        "vqdm/x/val/ai/4.png",
    ]
    assert found.notes == (
        "1 files in folders `train` are left out: `val` is taken where there is one",
        "without `val`, so `train` is taken: adm",
    )


def test_the_part_to_train_on_is_a_set_by_the_name_of_the_folder_above(tmp_path: Path) -> None:
    touch(tmp_path / "ADM", "train/ai/1.png", "train/nature/2.png", "val/ai/3.png")
    found = read_set(tmp_path / "ADM" / "train")
    assert [(image.uri, image.source) for image in found.images] == [("ai/1.png", "ADM"), ("nature/2.png", "ADM")]
    assert found.notes == ("without `val`, so `train` is taken: ADM",)
    touch(tmp_path / "gan" / "train", "airplane/0_real/1.png", "airplane/1_fake/2.png")
    assert generators(tmp_path / "gan" / "train") == ["airplane", "real"]


def test_folders_that_only_sound_like_a_layout_are_classes(tmp_path: Path) -> None:
    touch(tmp_path, "progan/train/0_real/1.png", "progan/nature/1_fake/2.png")
    assert {(image.label, image.source) for image in list_images(tmp_path)} == {(0, "progan"), (1, "progan")}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a/0_real/1.png", "b/x/val/ai/2.png"], r"two layouts at once \(a/0_real/, b/x/val/ai/\)"),
        (
            ["0_real/1.png", "b/1_fake/2.png"],
            r"a generator's own folder and one above such at once \(0_real/, b/1_fake/\)",
        ),
        (["a/0_real/1_fake/1.png"], "a/0_real/1_fake/ says two things"),
        (["a/val/ai/1_fake/1.png"], "a/val/ai/1_fake/ says two things"),
        (["a/train/ai/val/ai/1.png"], "says two things"),
        (["SD v1.4/1_fake/1.png", "sd_v1_4/1_fake/1.png"], "'SD v1.4' and 'sd_v1_4' cannot be told apart"),
        (["real/1_fake/1.png"], "no generator can be named 'real'"),
        (["all/1_fake/1.png"], "no generator can be named 'all'"),
        (["nature/1.png", "ai/2.png"], "no images in folders"),
        (["a/0_real/.hidden.png"], "no images in folders"),
        ([], "no images in folders"),
    ],
)
def test_a_folder_whose_meaning_is_not_plain_is_an_error(tmp_path: Path, names: list[str], said: str) -> None:
    touch(tmp_path, *names)
    with pytest.raises(UserError, match=said):
        list_images(tmp_path)


def test_the_error_names_a_linked_folder(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/0_real/1.png")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "progan").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="progan is a link, and linked folders are not followed"):
        list_images(tmp_path / "set")


def write(path: Path, entries: object) -> Path:
    path.write_text(entries if isinstance(entries, str) else json.dumps(entries))
    return path


def test_a_json_list_of_relative_and_absolute_paths(tmp_path: Path) -> None:
    entries = [
        {"path": "ADM/val/ai/1.png", "label": 1},
        {"path": str(tmp_path / "ADM" / "nature" / "2.png"), "label": 0},
        {"path": "./glide/../glide/3.png", "label": "1"},
        {"path": "4.png", "label": "0"},
        {"path": "1_fake/5.png", "label": 1, "generator": "SD v1.5"},
        {"path": "1_fake/6.png", "label": 1},
    ]
    found = read_set(write(tmp_path / "web.json", entries))
    assert found.layout == "JSON list"
    assert list(found.images) == [
        Listing("1_fake/5.png", 1, "SD_v1_5", "SD_v1_5", None),
        Listing("1_fake/6.png", 1, "web", "web", "web"),
        Listing("4.png", 0, "real", "web", None),
        Listing("ADM/nature/2.png", 0, "real", "ADM", None),
        Listing("ADM/val/ai/1.png", 1, "ADM", "ADM", "ADM"),
        Listing("glide/3.png", 1, "glide", "glide", None),
    ]
    assert found.generators == ("ADM", "SD_v1_5", "glide", "real", "web")


def test_a_json_list_may_name_its_folder_by_the_way_over_a_link(tmp_path: Path) -> None:
    touch(tmp_path, "data/a/1.png")
    (tmp_path / "link").symlink_to(tmp_path / "data")
    source = write(tmp_path / "link" / "set.json", [{"path": str(tmp_path / "data" / "a" / "1.png"), "label": 0}])
    assert [image.uri for image in list_images(source)] == ["a/1.png"]


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ("[", "not a JSON list of images"),
        ("[" * 100_000, "not a JSON list of images"),
        ([], "not a JSON list of objects"),
        ({"dev": "set.json"}, "not a JSON list of objects"),
        ([["a.png", "Negative"]], "entry 1: an object with"),
        ([{"path": "a/1.png", "label": 0}, {"path": "a/2.png"}], "entry 2: label must be"),
        ([{"path": "a/1.png", "label": True}], "entry 1: label must be"),
        ([{"path": "a/1.png", "label": 2}], "entry 1: label must be"),
        ([{"path": "", "label": 1}], "entry 1: an object with"),
        ([{"path": "a/1.png", "label": 1, "generator": 7}], "entry 1: generator must be a name"),
        ([{"path": "a/1.png", "label": 1}, {"path": "a/../a/1.png", "label": 0}], "entry 2: a/1.png is named"),
        ([{"path": "a/1.png", "label": 1}, {"path": "/data/2.png", "label": 0}], "entry 2: /data/2.png lies outside"),
        ([{"path": "../2.png", "label": 0}], "entry 1: ../2.png lies outside"),
        ([{"path": "real/1.png", "label": 1}], "no generator can be named 'real'"),
    ],
)
def test_a_json_list_that_cannot_be_understood_is_named_by_entry(tmp_path: Path, entries: object, said: str) -> None:
    with pytest.raises(UserError, match=said):
        list_images(write(tmp_path / "set.json", entries))
