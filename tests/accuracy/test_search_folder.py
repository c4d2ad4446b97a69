"""The folder of a search: of the same files and counts alone, and a damaged result is a job done again."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sweeps import write_files

from refengine.accuracy.search import prepare
from refengine.accuracy.search_jobs import Sources, run_sources
from refengine.errors import FileError
from refengine.network.images import write_images


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    files = write_files(tmp_path_factory.mktemp("search"))
    return Sources(files.network, files.calibration)


@pytest.fixture
def here(sources):
    """Jobs done in this process; its list says which."""

    class Here(list):
        def __call__(self, jobs):
            for job in jobs:
                self.append(job)
                yield job, run_sources(job, sources)

    return Here()


def test_a_damaged_result_is_done_again(sources, here, tmp_path):
    first = prepare(tmp_path, sources, here)
    assert len(here) == 3
    damaged = next((tmp_path / "jobs").glob("*.json"))
    damaged.write_text("{")
    heard = []
    again = prepare(tmp_path, sources, here, complain=heard.append)
    assert len(here) == 4
    assert len(heard) == 1
    assert heard[0].endswith("its job is done again")
    assert again.problem.names == first.problem.names
    assert json.loads(damaged.read_text())["record"]["errors"]


def test_the_folder_of_other_files_or_counts_is_refused(sources, here, tmp_path):
    prepare(tmp_path, sources, here)
    with pytest.raises(FileError, match="is the folder of a search with another fit, needed the same"):
        prepare(tmp_path, sources, here, 4)
    changed = tmp_path / "changed.h5"
    write_images(changed, np.random.default_rng(9).integers(0, 256, (16, 6, 5, 3), np.uint8), None)
    with pytest.raises(FileError, match="is the folder of a search with another calibration, needed the same"):
        prepare(tmp_path, replace(sources, calibration=str(changed)), here)
    (tmp_path / "search.json").write_text(json.dumps({}))
    with pytest.raises(FileError, match="is damaged"):
        prepare(tmp_path, sources, here)
