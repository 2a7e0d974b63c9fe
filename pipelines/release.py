"""What is shipped in the box: `python -m pipelines.release CORPUS HOME` trains it and puts it into the package.

Which corpora it is made of belongs here; how they become a detector, to the chain. See docs/release.md.
"""

import sys
from pathlib import Path

import click

from models.box import BOX_CLAIMS
from pipelines.cli_options import say
from pipelines.run import run
from warehouse.home import Home, UserError, atomic_path
from warehouse.registry import Corpus, add_corpus, read_registry, set_reconstruction
from warehouse.store import Store

# Tables of photographs below the folder, what is held out together, and what each is used for.
CORPORA = {
    "photos": ("photos.csv", Corpus(source="photos.csv", group="repo", use=["train", "reference"])),
    "more": ("photos_more.csv", Corpus(source="photos_more.csv", group="repo", use=["train", "reference"])),
    "web": ("web.csv", Corpus(source="web.csv", group="file", use=["reference"])),
}
# The network on reconstructions is no part of the box: it is trained as little as the chain can do with.
RECONSTRUCTION_STEPS = 18


def release(corpus: Path, home: Home, box: Path) -> None:
    """Train on the corpora in a folder, in a home without any other, and write the detector and what judges EXIF.

    `box` is the detector's file; what judges EXIF lies beside it. UserError where the home has other corpora or the
    folder lacks a table.
    """
    registered = read_registry(home).corpora
    if others := sorted(registered.keys() - CORPORA.keys()):
        raise UserError(f"{home.path} has other corpora ({', '.join(others)}): a release starts from an empty home")
    for name, (table, entry) in CORPORA.items():
        if name not in registered:
            add_corpus(home, name, entry.model_copy(update={"source": str(corpus / table)}))
    set_reconstruction(home, steps=RECONSTRUCTION_STEPS)
    run(home, say)
    from assets.detection import champion_file

    made = champion_file(home)
    if made is None:
        raise UserError(f"no detector in {home.path}: the run has not come to its end")
    for source, target in ((made, box), (_claims(home), box.with_name(BOX_CLAIMS.name))):
        with atomic_path(target) as temporary:
            temporary.write_bytes(source.read_bytes())


def _claims(home: Home) -> Path:
    """What judges the claims of EXIF, of the backbone that the home has trained. UserError where there is none."""
    judged = Store(home.tables).read("exif_claims", columns=["backbone"])["backbone"].unique()
    if len(judged) != 1:
        raise UserError(f"nothing judges what EXIF claims in {home.path}: the run has not come to its end")
    return home.claims(judged[0])


@click.command()
@click.argument("corpus", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("home", type=click.Path(path_type=Path))
def main(corpus: Path, home: Path) -> None:
    """Train what is shipped on the corpora in the folder CORPUS, in HOME, and put it into the package."""
    from models.box import BOX

    try:
        release(corpus.resolve(), Home(home.resolve()), BOX)
        say(f"{BOX}: {BOX.stat().st_size:,} bytes")
    except UserError as error:
        say(f"release: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
