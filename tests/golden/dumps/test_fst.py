"""FST: signals and changes through another process, which damaged files may end."""

import shutil
import subprocess

import numpy as np
import pytest

from refengine.errors import FileError
from refengine.golden.dumps.fst import changes_of, signals_of
from refengine.golden.dumps.waves import Handshake, open_waves, sampled

pytest.importorskip("pylibfst", reason="not installed: refengine[waves]")
pytestmark = pytest.mark.skipif(shutil.which("vcd2fst") is None, reason="not installed: vcd2fst, of gtkwave")

VCD = """$timescale 1 ns $end
$scope module top $end
$var wire 1 c clk $end
$var wire 8 d code [7:0] $end
$upscope $end
$enddefinitions $end
#0
0c
b0 d
"""
CODES = list(range(40))


@pytest.fixture
def path(tmp_path):
    text = VCD + "".join(f"#{10 * n + 5}\n1c\n#{10 * n + 7}\n0c\nb{n + 1:b} d\n" for n in CODES)
    (tmp_path / "w.vcd").write_text(text)
    subprocess.run(["vcd2fst", "w.vcd", "w.fst"], cwd=tmp_path, check=True, capture_output=True)
    return tmp_path / "w.fst"


def test_signals_and_changes(path):
    scale, signals = signals_of(path, "w")
    assert scale == -9
    bits = {name.split(" ")[0].split("[")[0]: (handle, bits) for name, handle, bits in signals}
    assert {name: width for name, (_, width) in bits.items()} == {"top.clk": 1, "top.code": 8}
    found = [*changes_of(path, "w", [bits["top.code"][0]])]
    assert [int(text, 2) for _, _, text in found][-40:] == [n + 1 for n in CODES]
    assert [time for time, _, _ in found][-40:] == [10 * n + 7 for n in CODES]


def test_the_same_words_as_from_vcd(path):
    handshake = Handshake("clk", {"code": "code"})
    one, other = (sampled(open_waves(file), handshake)[0]["code"] for file in (path, path.with_suffix(".vcd")))
    assert one.words[:, 0].tolist() == other.words[:, 0].tolist() == CODES
    assert one.where(3) == other.where(3) == "word 3, time 35 ns"


def test_damaged_files_are_refused_or_read_and_end_nothing(path):
    data, rng = path.read_bytes(), np.random.default_rng(1)
    for place in rng.integers(0, len(data), 12).tolist():
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        try:
            assert sampled(open_waves(path), Handshake("clk", {"code": "code"}))[0]["code"].count > 0
        except ValueError as error:
            assert "\n" not in str(error)  # noqa: PT017  (either is right)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(FileError, match=r"w\.fst: "):
        sampled(open_waves(path), Handshake("clk", {"code": "code"}))
