"""What is no dump, or no golden, is refused in one line."""

import pytest
from dumps import network_and_images

from refengine.errors import FileError
from refengine.golden.dumps.open_dump import open_dump
from refengine.runs.trace import write_trace
from refengine.vectors.writer import write_vectors


def test_nothing_that_is_a_dump(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "conv.png").write_bytes(b"png")
    for path in ("empty", "pictures"):
        with pytest.raises(FileError, match="holds no layer"), open_dump(tmp_path / path):
            pass
    with pytest.raises(FileError, match="No such file"), open_dump(tmp_path / "nosuch.h5"):
        pass
    network, images = network_and_images(1)
    write_trace(network, images, tmp_path / "trace.h5")
    (tmp_path / "trace.h5").write_bytes((tmp_path / "trace.h5").read_bytes()[:5000])
    with pytest.raises(FileError, match=r"trace\.h5"), open_dump(tmp_path / "trace.h5"):
        pass


def test_a_golden_that_a_device_wrote_is_refused(tmp_path):
    (tmp_path / "001_conv.code.memh").write_text("00\n01\n")
    for path in (tmp_path / "001_conv.code.memh", tmp_path):
        with pytest.raises(FileError, match=r"are the two exchanged\?"), open_dump(path):
            pass


def test_a_golden_that_is_a_folder_of_packs_is_refused(tmp_path):
    network, images = network_and_images(1)
    for name in ("images", "worst"):
        write_vectors(network, images, tmp_path / name)
    with pytest.raises(FileError, match=r"each is compared by itself: .*images.*worst"), open_dump(tmp_path):
        pass
