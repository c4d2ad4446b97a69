"""The page of proofs and the proofs: neither has what the other does not."""

import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = (HERE.parent.parent / "docs" / "proofs.md").read_text(encoding="utf-8")


def test_every_file_of_proofs_is_on_the_page_and_the_other_way_round():
    files = {path.name for path in HERE.glob("test_*.py")} - {Path(__file__).name}
    assert set(re.findall(r"`(test_\w+\.py)`", PAGE)) == files


def test_the_ends_that_the_page_names_are_those_of_the_package():
    from kernels_under_proof import cluster_tile, packing, tile

    unit = 1 << tile.LIMB_BITS
    assert f"`TOP` = {cluster_tile.TOP}" in PAGE
    assert f"`{-128 * unit - unit // 2}..{127 * unit + unit // 2 - 1}`" in PAGE
    assert f"`_SHIFTS` ({packing._SHIFTS[-1]})" in PAGE
