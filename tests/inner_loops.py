"""How many instructions the inner loops of the dense tiles have, for any processor on any machine.

    python tests/inner_loops.py [TARGET ...] [--text]

Code is made by LLVM as for the kernels, but only looked at.  Where a processor is missing, products for an instruction
stand in for time: of the loop that holds the most products, which goes round for 16 bytes of each pixel.
"""

import argparse
from collections import Counter
from collections.abc import Sequence

from llvmlite import binding, ir

from refengine.kernels.fast.block import emit_tiles
from refengine.kernels.fast.plan import TILES
from refengine.kernels.fast.tile import UNROLL
from refengine.kernels.instruction_sets import TARGETS, Target
from refengine.kernels.lanes import I64

ARM, X86 = "aarch64-unknown-linux-gnu", "x86_64-unknown-linux-gnu"
PROCESSORS = {
    "avx512vnni": (X86, "icelake-server", ""),
    "avxvnni": (X86, "alderlake", ""),
    "avx512": (X86, "skylake-avx512", ""),
    "avx2": (X86, "znver3", ""),
    "neonusdot": (ARM, "generic", "+neon,+dotprod,+i8mm"),
    "neondot": (ARM, "generic", "+neon,+dotprod"),
    "neon": (ARM, "generic", "+neon"),
    "generic": (ARM, "generic", "+neon"),
}


def compiled(target: Target, shapes: Sequence[tuple[int, int]]) -> tuple[binding.TargetMachine, binding.ModuleRef]:
    """The function ``block`` of ``make_block`` for a target's processor, which need not be this one."""
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    triple, name, features = PROCESSORS[target.name]
    module = ir.Module("tile")
    module.triple = triple
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [I64] * 6), "block")
    builder = ir.IRBuilder(function.append_basic_block())
    emit_tiles(builder, target, shapes, TILES[target.dense], False, *function.args)
    builder.ret_void()
    machine = binding.Target.from_triple(triple).create_target_machine(cpu=name, features=features, opt=3, reloc="pic")
    parsed = binding.parse_assembly(str(module))
    parsed.verify()
    options = binding.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = options.slp_vectorization = True
    passes = binding.create_pass_builder(machine, options)
    passes.getModulePassManager().run(parsed, passes)
    return machine, parsed


def loops(text: str) -> list[list[str]]:
    """Instructions from each label to the branch that leads back to it, with no other label between."""
    found, label, block = [], "", []
    for line in text.splitlines():
        if line.startswith(".L"):
            label, block = line.partition(":")[0], []
        elif line.startswith("\t") and not line.startswith(("\t.", "\t#", "\t//")):
            block.append(line.strip())
            if block[-1].endswith(f"\t{label}"):
                found.append(block)
    return found


def longest(text: str) -> list[str]:
    """The loop of the most instructions: the inner one of the tile with the most pixels."""
    return max(loops(text), key=len)


def main() -> None:
    """Print a line for each tile."""
    parser = argparse.ArgumentParser()
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--text", action="store_true")
    arguments = parser.parse_args()
    for target in TARGETS:
        if arguments.targets and target.name not in arguments.targets:
            continue
        for pixels, vectors in target.tiles:
            machine, module = compiled(target, ((pixels, vectors),))
            loop = longest(machine.emit_assembly(module))
            products = 4 * UNROLL * pixels * vectors * target.lanes
            print(f"{target.name} {pixels} x {vectors * target.lanes}: {products} products, {len(loop)} instructions,")
            common = ", ".join(f"{count} {name}" for name, count in Counter(w.split()[0] for w in loop).most_common(9))
            print(f"    {products / len(loop):.2f} for one: {common}")
            if arguments.text:
                print("\n".join(loop))


if __name__ == "__main__":
    main()
