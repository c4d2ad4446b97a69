"""Waves: sampled as flip-flops sample them; files written by hand and by the libraries' own writers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.errors import FileError, RangeError
from refengine.golden.compare.compare import compare
from refengine.golden.dumps.dump import in_memory
from refengine.golden.dumps.dut import open_dut
from refengine.golden.dumps.reading import reading
from refengine.golden.dumps.waves import Handshake, open_waves, sampled, value_of

pytest.importorskip("vcd", reason="not installed: refengine[waves]")

HEAD = """$timescale 10 ns $end
$scope module top $end
$var wire 1 c clk $end
$scope module dut $end
$var wire 1 v y_valid $end
$var wire 1 r y_ready $end
$var wire 8 d y_code [7:0] $end
$upscope $end $upscope $end
$enddefinitions $end
"""
ALL = Handshake("top.clk", {"code": "y_code"}, "y_valid", "y_ready")


def waves_of(path, body, head=HEAD):
    path.write_text(head + body)
    return open_waves(path)


def words(waves, handshake=ALL):
    found, notes = sampled(waves, handshake)
    return found["code"], notes


def test_what_changes_with_the_edge_is_seen_at_the_next(tmp_path):
    """At 10 the code becomes 1 by the edge itself, which still sees 0."""
    body = "#0 0c 1v 1r b0 d\n#10 1c b1 d\n#15 0c\n#20 1c b10 d\n#25 0c b11 d\n#30 1c\n"
    found, notes = words(waves_of(tmp_path / "w.vcd", body))
    assert found.words[:, 0].tolist() == [0, 1, 3]
    assert [found.where(word) for word in (0, 2)] == ["word 0, time 100 ns", "word 2, time 300 ns"]
    assert "3 words passed at 3 rising edges, time 100 ns the first" in notes[0]


def test_a_word_passes_where_both_are_1(tmp_path):
    body = "#0 0c 0v 0r b1 d\n"
    for time, (valid, ready) in enumerate([(1, 1), (1, 0), (0, 1), (1, 1), ("x", 1), ("x", 0), (1, 1)], 1):
        body += f"#{10 * time - 5} 0c {valid}v {ready}r b{time:b} d\n#{10 * time} 1c\n"
    found, notes = words(waves_of(tmp_path / "w.vcd", body))
    assert found.words[:, 0].tolist() == [1, 4, 7]
    assert "had unknown bits at 1 edges, time 500 ns the first: no word was taken there" in notes[1]
    assert words(open_waves(tmp_path / "w.vcd"), Handshake("clk", {"code": "dut.y_code"}))[0].count == 7


def test_unknown_bits_and_signals_that_never_had_a_value(tmp_path):
    body = "#0 0c 1v 1r\n#10 1c\n#15 0c bx d\n#20 1c\n#25 0c b1z01 d\n#30 1c\n#35 0c bx1 d\n#40 1c\n"
    found, _ = words(waves_of(tmp_path / "w.vcd", body))
    assert found.masks[:, 0].tolist() == [0xFF, 0xFF, 0b0100, 0xFE]
    assert found.words[:, 0].tolist() == [0, 0, 0b1001, 1]


def test_an_edge_is_a_change_from_0_to_1(tmp_path):
    """The first value is none, nor is a change from x, nor one that is taken back at once."""
    body = "#0 1c 1v 1r b1 d\n#5 0c\n#10 1c 0c\n#15 xc\n#20 1c\n#25 0c\n#30 1c\n#35 0c\n#36 xc\n#37 0c\n"
    assert words(waves_of(tmp_path / "w.vcd", body))[0].count == 1


@pytest.mark.parametrize(
    ("names", "needle"),
    [
        ({"clock": "top.clc"}, "has no signal 'top.clc'; the nearest is 'top.clk'"),
        ({"data": {"code": "top.dut.y_kode"}}, "the nearest is 'top.dut.y_code'"),
        ({"valid": "valid"}, "the nearest is 'top.dut.y_valid'"),
        ({"clock": "y_code"}, "'top.dut.y_code' has 8 bits, needed one"),
    ],
)
def test_signals_that_are_not_there(tmp_path, names, needle):
    given_names = {"clock": "clk", "data": {"code": "y_code"}, "valid": "y_valid", **names}
    with pytest.raises(RangeError) as caught:
        sampled(waves_of(tmp_path / "w.vcd", "#0 0c\n"), Handshake(**given_names))
    assert needle in str(caught.value)


def test_a_name_that_two_signals_end_in(tmp_path):
    head = HEAD.replace("$upscope $end $upscope $end", "$upscope $end $scope module b $end $var wire 8 e y_code $end")
    with pytest.raises(RangeError, match=r"may be top.dut.y_code, top.b.y_code"):
        sampled(waves_of(tmp_path / "w.vcd", "#0 0c\n", head), ALL)


@pytest.mark.parametrize(
    ("text", "needle"),
    [
        (HEAD + "#0 0c 1v 1r\n#5 1c\n#3 0c\n", "goes back in time"),
        (HEAD + "#0 0c\n", "no word passed at 0 rising edges"),
        (HEAD + "#0 b111111111 d\n", "more than the 8 bits of its signal"),
        ("hello\n", "is no VCD"),
        ("", "is no VCD"),
        ("$enddefinitions $end\n", "declares no signal"),
        (HEAD + "#0 0c\n?what\n", "is no VCD that can be read"),
    ],
)
def test_files_that_are_no_waves(tmp_path, text, needle):
    (tmp_path / "w.vcd").write_text(text)
    with pytest.raises(FileError) as caught:
        sampled(open_waves(tmp_path / "w.vcd"), ALL)
    assert needle in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(FileError, match="No such file"):
        open_waves(tmp_path / "w.vcd")


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 255)), min_size=1, max_size=30))
def test_by_a_plain_loop(tmp_path_factory, cycles):
    """A golden by Python, the file by pyvcd's writer."""
    from vcd import VCDWriter

    path = tmp_path_factory.mktemp("waves") / "w.vcd"
    wanted = [code for valid, ready, code in cycles if valid and ready]
    with open(path, "w") as file, VCDWriter(file, timescale="1 ps") as writer:
        clock, valid, ready, data = (
            writer.register_var(scope, name, "wire", size=size, init=0)
            for scope, name, size in (("top", "clk", 1), ("top.dut", "y_valid", 1), ("top.dut", "y_ready", 1),
                                      ("top.dut", "y_code", 8))
        )  # fmt: skip
        for n, (is_valid, is_ready, code) in enumerate(cycles):
            for signal, value in ((valid, is_valid), (ready, is_ready), (data, code)):
                writer.change(signal, 10 * n + 1, int(value))
            writer.change(clock, 10 * n + 5, 1)
            writer.change(clock, 10 * n + 9, 0)
    if wanted:
        assert words(open_waves(path))[0].words[:, 0].tolist() == wanted
    else:
        with pytest.raises(FileError, match="no word passed"):
            words(open_waves(path))


def test_waves_are_a_dump_and_the_time_of_the_first_wrong_value_is_said(tmp_path):
    values = [3, 200, 7, 255]
    body = "#0 0c 1v 1r\n" + "".join(f"#{10 * n + 5} 0c b{v:b} d\n#{10 * n + 10} 1c\n" for n, v in enumerate(values))
    golden = in_memory({"001_conv": {"code": np.array(values, np.uint8).reshape(1, 1, 2, 2)}})
    how = reading(clock="clk", valid="y_valid", data=["y_code"], stage="code")
    waves_of(tmp_path / "w.vcd", body)
    with open_dut(tmp_path / "w.vcd", golden, how) as dut:
        assert compare(golden, dut).equal
    waves_of(tmp_path / "w.vcd", body.replace("b111 d", "b110 d"))
    with open_dut(tmp_path / "w.vcd", golden, how) as dut:
        (layer,) = compare(golden, dut).compared
        assert layer.stages[0].entire.first.index == (0, 0, 1, 0)
        assert dut.where("001_conv", "code", 0, 0, 1, 0) == f"{tmp_path}/w.vcd top.dut.y_code, word 2, time 300 ns"
    for data, error in ((["nosuch=y_code"], RangeError), (["total=y_code"], FileError)):
        with (
            pytest.raises(error, match="stage"),
            open_dut(tmp_path / "w.vcd", golden, reading(clock="clk", valid="y_valid", data=data)),
        ):
            pass


@pytest.mark.parametrize(("text", "value"), [("0", (0, 0)), ("1101", (13, 0)), ("uWhL-", (4, 0b11001)), ("", (0, 0))])
def test_values_of_nine_states_have_unknown_bits(text, value):
    assert value_of(text) == value


def test_a_file_that_is_no_fst(tmp_path):
    pytest.importorskip("pylibfst", reason="not installed: refengine[waves]")
    for content in (b"", b"hello", bytes(400)):
        (tmp_path / "w.fst").write_bytes(content)
        with pytest.raises(FileError):
            sampled(open_waves(tmp_path / "w.fst"), ALL)
