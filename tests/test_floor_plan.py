"""The house stands as the package's docstring draws it: who may import whom, where floats and rounding are forbidden,
and that nothing is without its test or its clause."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import refengine
from refengine.ops import OPS
from refengine.ops.interface import Operator

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "refengine"
TESTS = ROOT / "tests"

# rooms, lowest first; a folder inside a room is a room of its own
ROOMS = (
    "numbers",
    "kernels",
    "kernels.fast",
    "ops",
    "network",
    "engine",
    "engine.fast",
    "runs",
    "quantization",
    "vectors",
    "interop.onnx",
    "interop.torch",
    "interop.tosa",
    "interop.images",
    "interop.c",
    "interop.hdl",
    "bench",
    "accuracy",
    "analysis",
    "golden.dumps",
    "golden.diagnose",
    "golden.compare",
    "golden",
    "conform",
    "api",
    "cli",
)
FLOORS = {room: floor for floor, room in enumerate(ROOMS)}
PURE_FOLDERS = {"interop"}  # folders that hold rooms and no file
FOR_ALL = {"refengine", "refengine.errors", "refengine.text", "refengine.optional", "refengine.claims"}
ROOT_CONSTANTS = {"CONTRACT", "__version__"}

FLOAT_FREE_ROOMS = ("numbers", "kernels", "ops", "engine", "runs")
FLOAT_FREE_FILES = ("network/int_network.py", "network/int_file.py", "network/batches.py")
SEES_FLOATS = ("numbers/nearest.py",)

FLOAT_NAMES = {"float", "complex", "round"}
FLOAT_ATTRIBUTES = set(
    """
    float16 float32 float64 float128 longdouble double single half complex64 complex128 floating
    true_divide divide sqrt cbrt exp exp2 expm1 log log2 log10 log1p power ldexp frexp fsum hypot
    mean average std var median percentile linspace round around rint floor ceil trunc fix
    """.split()  # noqa: SIM905  (a list of 40 words reads worse)
)
INTEGER_FUNCTIONS_OF_MATH = {"isqrt", "gcd", "lcm", "prod", "comb"}
ROUNDING_WORDS = {"round", "around", "round_", "rint", "floor", "ceil", "trunc", "fix"}

SOURCES = sorted(PACKAGE.rglob("*.py"))
BY_NAME = {path.relative_to(PACKAGE).as_posix(): path for path in SOURCES}


@cache
def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@cache
def nodes_of(tree):
    return [*ast.walk(tree)]


def module_of(path):
    """Dotted name of a source file: refengine/ops/conv.py -> refengine.ops.conv, a folder for its __init__.py."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in SOURCES}


def imports_of(path):
    """(dotted module, name taken from it or None) of every import in a file, wherever it stands."""
    package = module_of(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in nodes_of(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                yield (inner, None) if inner in MODULES else (module, alias.name)


@cache
def own_imports_of(path):
    """Modules of refengine that a file imports."""
    return {(module, name) for module, name in imports_of(path) if module.split(".")[0] == "refengine"}


def room_of(module):
    """refengine.ops.conv -> ops, refengine.kernels.fast.plan -> kernels.fast; None for what lies in no room."""
    parts = module.split(".")[1:]
    rooms = (".".join(parts[:length]) for length in (2, 1))
    return next((room for room in rooms if room in FLOORS), None)


def by_name(path):
    return path.relative_to(PACKAGE).as_posix()


def offenders(paths, complaints):
    """What is found in files, by the name of the file; files without a complaint are left out."""
    found = {by_name(path): [*complaints(path)] for path in paths}
    return {name: lines for name, lines in found.items() if lines}


# ------------------------------------------------------------------------------------------------------------- imports


def test_every_folder_is_a_room_and_is_installed():
    """A new folder needs a floor here, and an __init__.py for setuptools to find it."""
    folders = {path.parent for path in SOURCES}
    rooms = {".".join(folder.relative_to(PACKAGE).parts) for folder in folders if folder != PACKAGE}
    assert rooms == {*ROOMS, *PURE_FOLDERS}
    assert all((folder / "__init__.py").exists() for folder in folders)


def test_the_package_itself_imports_its_public_names_for_type_checkers_alone():
    """Whoever imports a room imports the package first, which must therefore load nothing."""
    tree = tree_of(PACKAGE / "__init__.py")
    guarded = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    named = {alias.name for node in ast.walk(guarded[0]) if isinstance(node, ast.ImportFrom) for alias in node.names}
    outside = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert {ast.unparse(node).split()[1] for node in outside} == {"importlib", "typing"}
    homes = {name: f"refengine.{home}" for name, home in refengine._HOMES.items()}
    assert named == set(homes)
    assert {name: module for module, name in own_imports_of(PACKAGE / "__init__.py")} == homes
    assert set(homes) | ROOT_CONSTANTS == set(refengine.__all__)


def wrong_imports(path):
    """Imports of anything but the file's own room, lower floors, the errors and the two constants of the package."""
    here = room_of(module_of(path))
    if here is None:
        wanted = {"refengine.cli.main"} if path.name == "__main__.py" else FOR_ALL - {module_of(path), "refengine"}
        yield from {module for module, _ in own_imports_of(path)} - wanted
        return
    for module, name in own_imports_of(path):
        there = room_of(module)
        if there is None:
            if module not in FOR_ALL or (module == "refengine" and name not in ROOT_CONSTANTS):
                yield f"{module}: {name}"
        elif there != here and FLOORS[there] >= FLOORS[here]:
            yield module


def test_imports_point_down():
    assert offenders([path for path in SOURCES if path != PACKAGE / "__init__.py"], wrong_imports) == {}


def test_kernels_are_sealed():
    """A cached kernel depends on this room alone, whose sources are in its key; no kernel raises errors.

    The cache asks who compiles, which is no part of what is compiled.
    """

    def foreign(path):
        own = {module.split(".")[1] for module, _ in own_imports_of(path) if "." in module}
        return own - {"kernels", "errors"} - ({"claims"} if path.name == "cache.py" else set())

    assert offenders((PACKAGE / "kernels").rglob("*.py"), foreign) == {}


def test_functions_compiled_outside_the_kernels_depend_on_their_own_file_alone():
    """Besides the sources of the kernels, the key of a cached function has only the function's own file in it."""
    jit = ("refengine.kernels", "jit")
    users = [path for path in SOURCES if not by_name(path).startswith("kernels/") and jit in own_imports_of(path)]
    assert users
    assert {by_name(path): own_imports_of(path) - {jit} for path in users} == {by_name(path): set() for path in users}


def test_only_the_kernels_know_numba():
    """Everything else runs without a compiler."""
    compilers = {"numba", "llvmlite"}
    users = {by_name(path) for path in SOURCES for module, _ in imports_of(path) if module.split(".")[0] in compilers}
    assert {name.split("/")[0] for name in users} == {"kernels"}


def reachable_from(start):
    """Names of the files that are loaded when ``start`` is imported."""
    found, waiting = set(), [PACKAGE / start]
    while waiting:
        path = waiting.pop()
        if by_name(path) not in found:
            found.add(by_name(path))
            waiting += [MODULES[module] for module, _ in own_imports_of(path) if module in MODULES and "." in module]
    return found


def test_nothing_that_runs_a_network_sees_a_float_network():
    """The wall between floats and integers: what engine/run.py reaches has no way to a float."""
    reached = reachable_from("engine/run.py")
    assert "ops/conv.py" in reached
    floats = {"numbers/nearest.py", "network/float_network.py", "network/float_file.py", "network/forward.py"}
    assert not reached & floats
    assert not {name for name in reached if name.startswith("quantization/")}


# ------------------------------------------------------------------------------------------------ floats and rounding


def float_free():
    names = [name for name in BY_NAME if name.split("/")[0] in FLOAT_FREE_ROOMS and name not in SEES_FLOATS]
    return sorted({*names, *FLOAT_FREE_FILES})


def complaints_about_floats(tree):
    """Lines where a file divides, writes a float, or names something that makes one."""
    for node in nodes_of(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            yield node.lineno, f"the literal {node.value}"
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield node.lineno, "a division"
        elif isinstance(node, ast.Name) and node.id in FLOAT_NAMES:
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and not narrows_integers(node):
            of_math = isinstance(node.value, ast.Name) and node.value.id == "math"
            if node.attr not in INTEGER_FUNCTIONS_OF_MATH if of_math else node.attr in FLOAT_ATTRIBUTES:
                yield node.lineno, f".{node.attr}"
        elif isinstance(node, ast.ImportFrom) and node.module == "math":
            for alias in node.names:
                if alias.name not in INTEGER_FUNCTIONS_OF_MATH:
                    yield node.lineno, f"math.{alias.name}"


def narrows_integers(node):
    """LLVM's word for cutting an integer to fewer bits, which the tile kernels use."""
    return node.attr == "trunc" and isinstance(node.value, ast.Name) and node.value.id == "builder"


def test_the_integer_side_has_no_floats():
    """No float literal, no true division, no function that gives a float."""
    sources = [BY_NAME[name] for name in float_free()]
    assert len(sources) > 50
    assert offenders(sources, lambda path: complaints_about_floats(tree_of(path))) == {}


@pytest.mark.parametrize(
    "line",
    [
        "x = 0.5",
        "x = a / b",
        "x /= 2",
        "float(a)",
        "np.float64(a)",
        "a.mean()",
        "math.sqrt(a)",
        "from math import ceil",
    ],
)
def test_the_check_for_floats_sees_them(line):
    assert list(complaints_about_floats(ast.parse(line)))


@pytest.mark.parametrize("line", ["x = a // b", "x = a >> 1", "math.isqrt(a)", "from math import prod", "np.int64(1)"])
def test_the_check_for_floats_lets_integers_pass(line):
    assert not list(complaints_about_floats(ast.parse(line)))


def roundings_by_name(tree):
    """Lines that name a function which rounds."""
    for node in nodes_of(tree):
        name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", None)
        if name in ROUNDING_WORDS and not (isinstance(node, ast.Attribute) and narrows_integers(node)):
            yield node.lineno, name


def test_only_the_numbers_round():
    """Whoever needs a rounding finds it in refengine/numbers."""
    outside = [path for path in SOURCES if path.parent.name != "numbers"]
    assert offenders(outside, lambda path: roundings_by_name(tree_of(path))) == {}
    assert [*roundings_by_name(ast.parse("np.rint(x)"))] == [(1, "rint")]


def functions_that_shift_right(tree):
    """Names of the functions, or '-' outside, that shift right: by the operator, by NumPy's name or in LLVM IR."""
    yield from _in_functions(tree, "-", lambda node: _shifts_right(node))


def functions_named_for_rounding(tree):
    """Names of functions that say that they round."""
    for node in nodes_of(tree):
        if isinstance(node, ast.FunctionDef) and {*node.name.strip("_").split("_")} & ROUNDING_NAMES:
            yield node.name


def _in_functions(node, function, wanted):
    for child in ast.iter_child_nodes(node):
        here = child.name if isinstance(child, ast.FunctionDef) else function
        if wanted(child):
            yield here
        yield from _in_functions(child, here, wanted)


def _shifts_right(node):
    if isinstance(node, ast.BinOp | ast.AugAssign):
        return isinstance(node.op, ast.RShift)
    return isinstance(node, ast.Attribute) and node.attr in ("ashr", "lshr", "right_shift")


HANDED = "adds the addend that numbers/ has made for it"
FLOORED = "looks at the floored quotient, by which numbers/ has the addend chosen"
FIELD = "takes a field of bits out of a word"
EXTENDED = "sign extension: what was shifted left comes back"
EXACT = "an exact division: the bits that go are 0"
COUNT = "a count or an index, not a code"
RIGHT_SHIFTS = {
    "analysis/explain.py": {"choice_of": FLOORED},
    "analysis/explain_rounding.py": {"rounded": "the formula in plain integers, addend from numbers/"},
    "analysis/lint_sums.py": {"_overweight_operand": COUNT},
    "engine/fast/packing.py": {"_fits": "a bound of the epilogue's sums", "_split": EXACT},
    "golden/diagnose/structure.py": {"_bits": FIELD},
    "golden/dumps/difference.py": {"bit_lengths": FIELD},
    "golden/dumps/fitted.py": {"integers": EXTENDED},
    "golden/dumps/waves.py": {"changes": "asks whether a value has more bits than its signal"},
    "interop/images/idx.py": {"_header": COUNT},
    "interop/onnx/wire.py": {"_fields": FIELD, "_put_varint": FIELD},
    "interop/torch/export_int.py": {"requantized": HANDED},
    "kernels/fast/epilogue.py": {
        "rescaled": HANDED,
        "_add_product_of_upper_halves": FIELD,
        "_upper_half_of_product": "a floor of a floor is the floor: the module's docstring has the proof",
    },
    "kernels/fast/pair_tile.py": {"_prepare": FIELD},
    "kernels/fast/plan.py": {"_exact_epilogue": HANDED, "_confine": EXTENDED, "_lookup": FIELD},
    "kernels/fast/tile.py": {"_ask_ahead": COUNT, "_part_of_next_panel": COUNT},
    "kernels/instruction_sets.py": {"packed": COUNT},
    "kernels/moments.py": {"add_moments": FIELD},
    "kernels/requantize.py": {"rescale": HANDED, "occupied": FLOORED},
    "network/text_lengths.py": {"_chunk": FIELD},
    "vectors/c_header.py": {"_as_numbers": EXTENDED},
    "vectors/memory.py": {"hex_digits": FIELD},
    "vectors/readmem.py": {"_check_width": FIELD},
    "vectors/words.py": {"_values_of": EXTENDED},
}
ROUNDING_NAMES = {"round", "rounded", "rounds", "rounding", "rint", "floor", "ceil", "truncated", "nearest"}
NAMED_FOR_ROUNDING = {
    "analysis/explain_rounding.py": {"rounded": "one rounding in words", "_nearest": "asks what a mode is"},
    "analysis/intervals.py": {"_rounded": "calls round_shift at both ends"},
    "conform/answers.py": {
        "_round_shift": "calls round_shift",
        "_nearest": "calls nearest",
        "_nearest_codes": "calls nearest_codes",
    },
    "conform/numbers_cases.py": {
        "clauses_of_rounding": "names of clauses",
        "round_shift": "yields what round_shift is asked",
        "nearest": "yields what nearest is asked",
        "nearest_codes": "yields what nearest_codes is asked",
    },
    "bench/bench.py": {"rounds": "turns of a measurement"},
    "golden/diagnose/machine.py": {"plain_rounding": "calls round_shift"},
    "golden/dumps/layer_names.py": {"nearest": "names that look alike"},
    "kernels/fast/tile.py": {"_round": "a turn of a loop"},
    "kernels/fast/pair_tile.py": {"_round": "a turn of a loop"},
    "kernels/fast/word_tile.py": {"_round": "a turn of a loop"},
    "network/int_network.py": {"nearest_first": "names that look alike"},
    "quantization/descent.py": {"nearest": "floats of the quantizer: the nearest code"},
}


def test_whoever_shifts_right_has_a_reason():
    """A floor is a rounding: outside numbers/ every right shift stands in this list, and none is listed in vain."""
    assert _found(functions_that_shift_right) == {name: {*reasons} for name, reasons in RIGHT_SHIFTS.items()}


def test_a_function_named_for_rounding_has_a_reason():
    assert _found(functions_named_for_rounding) == {name: {*reasons} for name, reasons in NAMED_FOR_ROUNDING.items()}


def _found(look):
    """By file outside numbers/; but the hypotheses of a diagnosis are wrong on purpose, and round as devices may."""
    outside = [path for path in SOURCES if path.parent.name != "numbers" and not path.match("diagnose/hypotheses*.py")]
    return {name: {*functions} for name, functions in offenders(outside, lambda path: look(tree_of(path))).items()}


@pytest.mark.parametrize(
    "line", ["y = x >> 1", "x >>= s", "np.right_shift(x, 1)", "builder.ashr(x, y)", "builder.lshr(x, y)"]
)
def test_the_check_for_shifts_sees_them(line):
    assert [*functions_that_shift_right(ast.parse(f"def f(x):\n    {line}"))] == ["f"]


@pytest.mark.parametrize("name", ["rounded", "_rounded", "round_half_up", "nearest", "my_floor"])
def test_the_check_for_names_sees_them(name):
    assert [*functions_named_for_rounding(ast.parse(f"def {name}(x): pass"))] == [name]
    assert not [*functions_named_for_rounding(ast.parse("def print_ground(x): pass"))]


# ------------------------------------------------------------------------------------------------------- completeness


def test_every_operator_has_its_file():
    """A name is a path."""
    files = {path.stem for path in (PACKAGE / "ops").glob("*.py")} - {"__init__", "interface", "window"}
    assert files == set(OPS)
    assert {module.__name__ for module in OPS.values()} == {f"refengine.ops.{name}" for name in OPS}


@pytest.mark.parametrize("name", OPS)
def test_every_operator_is_complete(name):
    """Its module has what ops/__init__.py says, a test and a section of the contract."""
    operator = OPS[name]
    declared = {part for part in vars(Operator) if not part.startswith("_")}
    assert {"ACCUMULATES", "MOVES", "INPUTS", "CONSTANTS", "ATTRIBUTES", "output_shape", "reference"} < declared
    assert declared <= {*vars(operator)}
    assert hasattr(operator, "bound") == operator.ACCUMULATES
    assert not (operator.MOVES and operator.ACCUMULATES)
    assert (TESTS / "ops" / f"test_{name}.py").exists()
    headings = re.findall(r"^## (\w+)", (ROOT / "docs" / "contract.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert name.capitalize() in headings


def test_every_file_has_its_test():
    """refengine/a/b.py is tested by tests/a/test_b.py; a kernel by its own test or through the files that call it."""
    sources = [path for path in SOURCES if path.name not in ("__init__.py", "__main__.py")]
    assert [by_name(path) for path in sources if not is_tested(path)] == []


def is_tested(path):
    if by_name(path).startswith("kernels/") and not own_test_of(path).exists():
        callers = callers_of(path)
        return bool(callers) and all(own_test_of(source).exists() for source in callers)
    return own_test_of(path).exists()


def own_test_of(path):
    return TESTS / path.parent.relative_to(PACKAGE) / f"test_{path.stem}.py"


def callers_of(path):
    """The files that import a module."""
    return [source for source in SOURCES if module_of(path) in {module for module, _ in own_imports_of(source)}]


# -------------------------------------------------------------------------------------------------------------- manners


def test_no_file_is_called_by_nothing():
    """A file is named for what it holds."""
    empty_words = {"utils", "util", "helpers", "helper", "misc", "common", "tools"}
    files = [*SOURCES, *TESTS.rglob("*.py")]
    assert not {path.stem.removeprefix("test_") for path in files} & empty_words


def bad_manners(tree):
    """Lines that use an assert, or an exception that says nothing."""
    for node in nodes_of(tree):
        if isinstance(node, ast.Assert):
            yield node.lineno, "an assert, which python -O deletes"
        elif isinstance(node, ast.Raise) and node.exc is not None:
            if ast.unparse(node.exc).split("(")[0] in ("Exception", "BaseException"):
                yield node.lineno, "raises an exception of no kind"
        elif isinstance(node, ast.ExceptHandler) and (node.type is None or ast.unparse(node.type) == "Exception"):
            yield node.lineno, "catches everything"


def test_no_assert_and_no_bare_exception():
    assert offenders(SOURCES, lambda path: bad_manners(tree_of(path))) == {}
    bad = "assert x\nraise Exception('x')\ntry: pass\nexcept Exception: pass"
    assert len([*bad_manners(ast.parse(bad))]) == 3


def test_every_file_says_what_it_is():
    """A docstring at the top, unless there is nothing to say anything about."""
    silent = [path for path in SOURCES if tree_of(path).body and not ast.get_docstring(tree_of(path))]
    assert [by_name(path) for path in silent] == []
