"""Packs in the hands of others: simulators and compilers read the files and print every word, bit for bit.

Expected are the words that plain Python integers give (tests/word_oracle.py) for the integers of the run.  Where a
program is not installed its tests are skipped.
"""

import re
import shutil
import subprocess

import networks
import pytest
from word_oracle import oracle

from refengine.engine.run import run
from refengine.vectors.memory import identifier
from refengine.vectors.writer import Layout, open_vectors, write_vectors

LAYOUTS = {
    "one": Layout(),
    "4": Layout(word_bits=4, straddle=True),
    "8": Layout(word_bits=8, straddle=True, first="high"),
    "13": Layout(word_bits=13, straddle=True, code_map="plus-minus"),
    "32": Layout(word_bits=32, word_bits_of=[("total", 64)], endian="big", orders=["nchw"]),
    "128": Layout(word_bits=128, first="high"),
}


def needs(*programs):
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@pytest.fixture(scope="module")
def packs(tmp_path_factory):
    """A pack for each layout, and its words: {(layout, tensor): (entry, [word, ...])}."""
    folder = tmp_path_factory.mktemp("packs")
    network = networks.small()
    pixels, wanted = networks.random_images(network, 2), {}
    for name, layout in LAYOUTS.items():
        formats = ["npy", "readmemh", "readmemb", "c", "sv"]
        write_vectors(
            network, pixels, folder / name, formats=formats, layout=layout, partial_sums_of="conv", backend="reference"
        )
        vectors = open_vectors(folder / name)
        assert vectors.whole("logits").tolist() == run(network, pixels, "reference").tolist()
        for entry in vectors.manifest.entries:
            array = vectors.whole(entry.tensor.name)
            blocks = array if entry.tensor.has_images else [array]
            ordered = [entry.stored(block).tolist() for block in blocks]
            wanted[name, entry.tensor.name] = entry, [w for values in ordered for w in oracle(values, entry.packing)]
    assert len(wanted) == len(LAYOUTS) * 21
    assert {entry.packing.word_bits for entry, _ in wanted.values()} >= {2, 4, 8, 13, 32, 64, 128}
    return folder, wanted


def command(*arguments, cwd):
    done = subprocess.run([*map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def expected(wanted):
    """Lines that a testbench prints: number of the memory, number of the word, its bits."""
    return sorted(
        f"{number} {i} {word:0{entry.packing.word_bits}b}"
        for number, (entry, words) in enumerate(wanted.values())
        for i, word in enumerate(words)
    )


def assert_printed(out, wanted):
    printed = sorted(line for line in out.splitlines() if re.match(r"\d+ \d+ \w+$", line))
    assert printed == expected(wanted)


def memory_bench(wanted):
    """A module that reads every memory by one of the two system tasks and prints it."""
    modules = []
    for fmt, task in (("readmemh", "$readmemh"), ("readmemb", "$readmemb")):
        lines = [f"module by_{fmt};"]
        for number, ((layout, _), (entry, words)) in enumerate(wanted.items()):
            file, last = f"{layout}/{entry.files[fmt].file}", len(words) - 1
            lines += [
                f"  reg [{entry.packing.word_bits - 1}:0] m{number} [0:{last}];",
                "  initial begin",
                f'    {task}("{file}", m{number});',
                f'    for (int i = 0; i <= {last}; i++) $display("{number} %0d %b", i, m{number}[i]);',
                "  end",
            ]
        modules += [*lines, "endmodule"]
    return "\n".join(modules) + "\n"


def package_bench(wanted, layout):
    """A module that prints the words of the packages of one layout, by their function."""
    lines = []
    for number, ((name, tensor), _) in enumerate(wanted.items()):
        if name == layout:
            package = f"{identifier(tensor)}_pkg"
            lines += [
                f"module p{number}; import {package}::*;",
                f'  initial for (int i = 0; i < WORDS; i++) $display("{number} %0d %b", i, {package}::word(i));',
                "endmodule",
            ]
    numbers = [number for number, (name, _) in enumerate(wanted) if name == layout]
    return "\n".join([*lines, "module top;", *(f"  p{n} i{n}();" for n in numbers), "endmodule"]) + "\n"


def package_files(folder, wanted, layout):
    return [folder / layout / entry.files["sv"].file for (name, _), (entry, _) in wanted.items() if name == layout]


def of_layout(wanted, layout):
    """The expected lines of one layout."""
    numbers = {str(number) for number, (name, _) in enumerate(wanted) if name == layout}
    return [line for line in expected(wanted) if line.split()[0] in numbers]


def simulated_by_icarus(sources, top, folder, work):
    command("iverilog", "-g2012", "-Wall", "-s", top, "-o", work / "sim.vvp", *sources, cwd=folder)
    return command("vvp", work / "sim.vvp", cwd=folder)


def simulated_by_verilator(sources, top, folder, work):
    objects, binary = work / "objects", ["--binary", "-CFLAGS", "-O0", "-Wno-fatal"]
    command("verilator", *binary, "--top", top, "-Mdir", objects, "-o", "sim", *sources, cwd=folder)
    return command(objects / "sim", cwd=folder)


def has_verilator_5():
    found = shutil.which("verilator")
    if found is None:
        return False
    version = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=60).stdout
    return re.match(r"Verilator [5-9]\.", version) is not None


@needs("iverilog", "vvp")
@pytest.mark.parametrize("fmt", ["readmemh", "readmemb"])
def test_icarus_reads_memories(packs, fmt, tmp_path):
    folder, wanted = packs
    (tmp_path / "bench.sv").write_text(memory_bench(wanted))
    assert_printed(simulated_by_icarus([tmp_path / "bench.sv"], f"by_{fmt}", folder, tmp_path), wanted)


@needs("iverilog", "vvp")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_icarus_compiles_packages(packs, layout, tmp_path):
    folder, wanted = packs
    (tmp_path / "bench.sv").write_text(package_bench(wanted, layout))
    sources = [*package_files(folder, wanted, layout), tmp_path / "bench.sv"]
    out = simulated_by_icarus(sources, "top", folder, tmp_path)
    assert sorted(line for line in out.splitlines() if line) == of_layout(wanted, layout)


@pytest.mark.slow
@pytest.mark.skipif(not has_verilator_5(), reason="not installed: verilator 5 or later")
@needs("make", "g++")
def test_verilator_reads_everything(packs, tmp_path):
    """One build of few tensors, because it compiles C++: both system tasks, and one layout's packages."""
    folder, wanted = packs
    wanted = {key: value for key, value in wanted.items() if key[1] in ("images", "001_conv/weight", "001_conv/total")}
    parts = [memory_bench(wanted), package_bench(wanted, "13")]
    instances = "module all; by_readmemh h(); by_readmemb b(); top t(); initial #1 $finish; endmodule\n"
    (tmp_path / "bench.sv").write_text("".join([*parts, instances]))
    sources = [*package_files(folder, wanted, "13"), tmp_path / "bench.sv"]
    out = simulated_by_verilator(sources, "all", folder, tmp_path)
    printed = sorted(line for line in out.splitlines() if re.match(r"\d+ \d+ \w+$", line))
    assert printed == sorted(2 * expected(wanted) + of_layout(wanted, "13"))


VHDL = """
library ieee; use ieee.std_logic_1164.all; use std.textio.all;
entity bench is end;
architecture a of bench is
  procedure show(name : string; fmt : character; number, bits, words : natural) is
    file memory : text open read_mode is name;
    variable from_file, to_screen : line;
    variable word : std_logic_vector(bits - 1 downto 0);
  begin
    for i in 0 to words - 1 loop
      readline(memory, from_file);
      if fmt = 'h' then hread(from_file, word); else read(from_file, word); end if;
      write(to_screen, integer'image(number) & " " & integer'image(i) & " ");
      write(to_screen, word);
      writeline(output, to_screen);
    end loop;
    assert endfile(memory) severity failure;
  end;
begin
  process begin
%s
    wait;
  end process;
end;
"""


@needs("ghdl")
@pytest.mark.parametrize(("fmt", "letter"), [("readmemh", "h"), ("readmemb", "b")])
def test_ghdl_reads_memories(packs, fmt, letter, tmp_path):
    """By the procedures of the standard library: line n is word n - 1, without comments."""
    folder, wanted = packs
    calls = []
    for number, ((layout, _), (entry, words)) in enumerate(wanted.items()):
        sizes = f"{number}, {entry.packing.word_bits}, {len(words)}"
        calls.append(f"""    show("{folder / layout / entry.files[fmt].file}", '{letter}', {sizes});""")
    (tmp_path / "bench.vhdl").write_text(VHDL % "\n".join(calls))
    command("ghdl", "-a", "--std=08", "bench.vhdl", cwd=tmp_path)
    assert_printed(command("ghdl", "--elab-run", "--std=08", "bench", cwd=tmp_path), wanted)


@needs("cc")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_c_compiler_takes_the_headers(packs, layout, tmp_path):
    """C99, every warning an error."""
    folder, wanted = packs
    program = ["#include <stdio.h>", "#include <inttypes.h>"]
    calls, lines = [], []
    for number, ((name, tensor), (entry, words)) in enumerate(wanted.items()):
        if name != layout:
            continue
        bits, array = entry.packing.word_bits, identifier(tensor)
        program.append(f'#include "{folder / layout / entry.files["c"].file}"')
        calls.append(f"for (int i = 0; i < {array.upper()}_WORDS; i++) {{")
        if bits > 64:
            limbs = -(-bits // 32)
            calls.append(f'  printf("{number} %d ", i);')
            calls.append(f'  for (int k = {limbs - 1}; k >= 0; k--) printf("%08" PRIx32, {array}[i][k]);')
            calls.append('  printf("\\n"); }')
            digits = 8 * limbs
        else:
            mask = f"0x{2**bits - 1:x}ULL"
            calls.append(f'  printf("{number} %d %016" PRIx64 "\\n", i, (uint64_t)({array}[i] & {mask})); }}')
            digits = 16
        calls.append(f"if ({array.upper()}_WORD_BITS != {bits}) return 1;")
        lines += [f"{number} {i} {word:0{digits}x}" for i, word in enumerate(words)]
    program += ["int main(void) {", *calls, "return 0; }"]
    (tmp_path / "bench.c").write_text("\n".join(program) + "\n")
    command("cc", "-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", "bench.c", "-o", "bench", cwd=tmp_path)
    assert command("./bench", cwd=tmp_path).splitlines() == lines
