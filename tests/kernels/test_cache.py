"""The kernel cache: what is not just as this user wrote it is compiled again, and nothing is written elsewhere."""

import os
import pickle
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest
from everyday import everyday

from refengine import claims
from refengine.kernels import cache
from refengine.kernels.cache import FOLDER_OPTION, Store, cache_folder

ROOT = Path(__file__).parents[2]
POSIX = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="owners and modes are those of POSIX")
ROOT_ALONE = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")

TINY = """
import sys
from refengine.kernels import jit

@jit
def twice(x):
    return 2 * x

@jit
def one_more(x):
    return twice(x) + 1

value = float(sys.argv[1]) if "." in sys.argv[1] else int(sys.argv[1])
print(one_more(value), sum(one_more.stats.cache_hits.values()))
"""


def tiny(folder, argument="20", **environment):
    """Command and environment of two small kernels, one calling the other; prints the result and the hits."""
    script = folder / "tiny.py"
    script.write_text(TINY)
    kept = {FOLDER_OPTION: str(folder / "cache"), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    return [sys.executable, str(script), argument], {**os.environ, **kept, **environment}


def run_tiny(folder, argument="20", **environment):
    command, environment = tiny(folder, argument, **environment)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr[-1500:]
    return done


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """A folder with a warm cache of the small kernels."""
    folder = tmp_path_factory.mktemp("warm")
    assert run_tiny(folder).stdout == "41 0\n"
    return folder


@pytest.fixture
def copy(warm, tmp_path):
    """A warm cache of one's own, for the same script at the same place."""
    shutil.copytree(warm / "cache", tmp_path / "cache")
    return tmp_path / "cache"


def kernels_in(folder):
    return sorted(folder.rglob("*.kernel"))


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "named" / "refengine" / "key")
    made.write("kernel", b"machine code")
    return made


def again(store):
    """The same folder as another process sees it."""
    return Store(store.folder)


# ------------------------------------------------------------------------------------------------------------- the key


def test_kernels_are_kept_under_the_key(warm, monkeypatch):
    monkeypatch.setenv(FOLDER_OPTION, str(warm / "cache"))
    assert [file.parent for file in kernels_in(warm)] == [cache_folder()] * 2
    assert run_tiny(warm).stdout == "41 1\n"


@pytest.mark.parametrize("change", ["below/b.py", "c.py"])
def test_another_source_is_another_key(tmp_path, monkeypatch, change):
    (tmp_path / "below").mkdir()
    for name in ("a.py", "below/b.py"):
        (tmp_path / name).write_text("x = 1\n")
    monkeypatch.setattr(cache, "_ROOM", tmp_path)
    before = cache_folder()
    (tmp_path / change).write_text("x = 2\n")
    assert cache_folder() != before


def test_a_source_in_another_folder_is_another_key(tmp_path, monkeypatch):
    (tmp_path / "below").mkdir()
    (tmp_path / "a.py").write_text("x = 1\n")
    monkeypatch.setattr(cache, "_ROOM", tmp_path)
    before = cache_folder()
    (tmp_path / "a.py").rename(tmp_path / "below" / "a.py")
    assert cache_folder() != before


def test_kernels_without_sources_have_no_key(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "_ROOM", tmp_path)
    assert cache._store.__wrapped__() is None


def test_a_changed_kernel_runs_though_its_caller_was_cached(tmp_path):
    """A copy of the package, in which a kernel of a sub-folder changes and the kernel that calls it does not."""
    package = tmp_path / "refengine"
    shutil.copytree(ROOT / "refengine" / "kernels", package / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("__init__.py", "claims.py", "errors.py", "text.py"):
        shutil.copy(ROOT / "refengine" / name, package)
    inner = package / "kernels" / "below" / "inner.py"
    inner.parent.mkdir()
    inner.with_name("__init__.py").write_text("")
    head = "from refengine.kernels import jit\n"
    (package / "kernels" / "outer.py").write_text(
        f"{head}from refengine.kernels.below.inner import inner\n@jit\ndef outer(x):\n    return inner(x)\n"
    )
    run = "from refengine.kernels.outer import outer; print(outer(20), sum(outer.stats.cache_hits.values()))"
    printed = []
    for kernel in ("x + 1", "x + 1", "x + 2"):
        inner.write_text(f"{head}@jit\ndef inner(x):\n    return {kernel}\n")
        _, environment = tiny(tmp_path, PYTHONPATH=str(tmp_path))
        done = subprocess.run(
            [sys.executable, "-c", run], env=environment, capture_output=True, text=True, cwd=tmp_path
        )
        printed.append(done.stdout)
    assert printed == ["21 0\n", "21 1\n", "22 0\n"]


# -------------------------------------------------------------------------------------------------------------- damage


def test_a_file_is_read_back_as_it_was_written(store):
    assert again(store).read("kernel") == b"machine code"
    assert again(store).read("another") is None


def test_every_flipped_bit_is_noticed(store):
    file = store.folder / "kernel"
    whole = file.read_bytes()
    for bit in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[bit >> 3] ^= 1 << (bit & 7)
        file.write_bytes(flipped)
        assert store.read("kernel") is None, f"bit {bit}"
    file.write_bytes(whole)
    assert store.read("kernel") == b"machine code"


def test_a_file_that_is_cut_short_or_goes_on_is_noticed(store):
    file = store.folder / "kernel"
    whole = file.read_bytes()
    for content in (*(whole[:length] for length in range(len(whole))), whole + b"\0", whole + whole):
        file.write_bytes(content)
        assert store.read("kernel") is None, f"{len(content)} bytes"


def test_a_file_under_the_name_of_another_is_noticed(store):
    shutil.copy(store.folder / "kernel", store.folder / "other")
    assert store.read("other") is None


@pytest.mark.parametrize("place", [20, 0.5], ids=["digest", "machine code"])
def test_a_damaged_kernel_is_compiled_again_and_kept_whole(warm, copy, place):
    whole = {file: file.read_bytes() for file in kernels_in(copy)}
    assert len(whole) == 2
    for file, content in whole.items():
        damaged = bytearray(content)
        damaged[int(place * len(content)) if isinstance(place, float) else place] ^= 16
        file.write_bytes(damaged)
    done = run_tiny(warm, **{FOLDER_OPTION: str(copy)})
    assert (done.stdout, done.stderr) == ("41 0\n", "")
    assert all(Store(file.parent).read(file.name) for file in whole)


def test_a_write_that_is_stopped_leaves_what_was_there(store, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        store.write("kernel", b"other code")
    assert [file.name for file in store.folder.iterdir()] == ["kernel"]
    assert store.read("kernel") == b"machine code"


def test_leftovers_of_killed_processes_are_removed_and_those_of_running_ones_are_not(store):
    for name, seconds in ((".old.part", 0), (".new.part", None)):
        (store.folder / name).write_bytes(b"half")
        if seconds is not None:
            os.utime(store.folder / name, (seconds, seconds))
    store.write("second", b"more")
    assert sorted(file.name for file in store.folder.iterdir()) == [".new.part", "kernel", "second"]


@pytest.mark.slow
def test_many_processes_share_a_cold_cache(tmp_path):
    """Some compile for integers, some for floats, the same functions at one time: each finds its own."""
    arguments = ["20", "20.0", "20.0"]
    commands = [tiny(tmp_path, argument) for argument in arguments]
    running = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
        for command, environment in commands
    ]
    assert [process.communicate()[0].split()[0] for process in running] == ["41", "41.0", "41.0"]
    assert [run_tiny(tmp_path, argument).stdout for argument in arguments[:2]] == ["41 1\n", "41.0 1\n"]
    assert len(kernels_in(tmp_path)) == 4


@pytest.mark.parametrize("count", everyday([2, 4], 2))
def test_of_many_processes_one_compiles(tmp_path, count):
    """Whoever comes later finds the files: exactly one process has no hit."""
    command, environment = tiny(tmp_path)
    running = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
        for _ in range(count)
    ]
    assert sorted(process.communicate()[0] for process in running) == ["41 0\n", *["41 1\n"] * (count - 1)]


@pytest.fixture
def other_claims(store):
    """Another process that claims the file "awaited" and holds it until a line is written to it."""
    if claims.fcntl is None:
        pytest.skip("the system has no locks of bytes")
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from refengine.claims import Claims\n"
        "with Claims(Path(sys.argv[1])) as held:\n"
        "    print(held.take(sys.argv[2]), flush=True)\n"
        "    sys.stdin.readline()\n"
    )
    command = [sys.executable, "-c", code, str(store.folder), cache._key("awaited")]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "True\n"
    yield process
    process.kill()
    process.communicate()


def test_a_file_that_another_process_makes_is_awaited(store, other_claims):
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(store.awaited, "awaited")
        assert not wait([waiting], timeout=0.2).done
        again(store).write("awaited", b"made elsewhere")
        other_claims.communicate("\n")
        assert waiting.result(timeout=30) == b"made elsewhere"


def test_a_process_that_ends_without_the_file_leaves_it_to_the_next(store, other_claims):
    other_claims.kill()
    other_claims.wait()
    assert store.awaited("awaited") is None
    store.give_back("awaited")


def test_nobody_waits_for_ever(store, other_claims, monkeypatch):
    monkeypatch.setattr(cache, "_SECONDS_OF_WAITING", 0)
    assert store.awaited("awaited") is None


# --------------------------------------------------------------------------------------------------------- other users


@POSIX
def test_folders_and_files_are_private_whatever_the_umask_is(tmp_path):
    before = os.umask(0)
    try:
        Store(tmp_path / "new" / "named" / "refengine" / "key").write("kernel", b"")
    finally:
        os.umask(before)
    made = list((tmp_path / "new").rglob("*"))
    assert {path.name: path.stat().st_mode & 0o777 for path in [tmp_path / "new", *made]} == {
        "new": 0o700, "named": 0o700, "refengine": 0o700, "key": 0o700, "kernel": 0o600,
    }  # fmt: skip


@POSIX
@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
@pytest.mark.parametrize("above", range(3))
def test_a_folder_that_others_can_write_is_neither_read_nor_written(store, capfd, above, mode):
    folder = [store.folder, *store.folder.parents][above]
    folder.chmod(mode)
    reader = again(store)
    assert reader.read("kernel") is None
    reader.write("second", b"more")
    assert [file.name for file in store.folder.iterdir()] == ["kernel"]
    reason = f"{str(folder)!r} can be written by other users (chmod go-w)"
    assert capfd.readouterr().err == f"refengine: kernels are compiled anew: {reason}\n"


@POSIX
def test_nothing_is_made_in_a_folder_that_others_can_write(tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o1777)
    Store(tmp_path / "shared" / "refengine" / "key").write("kernel", b"")
    assert not list((tmp_path / "shared").iterdir())


@POSIX
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_files_that_others_can_write_are_not_read_and_one_line_says_so(store, capfd, mode):
    names = ["kernel", "second", "third"]
    for name in names:
        store.write(name, b"code")
        (store.folder / name).chmod(mode)
    assert [store.read(name) for name in names] == [None] * 3
    assert capfd.readouterr().err.count("\n") == 1
    store.write("kernel", b"my own")
    assert store.read("kernel") == b"my own"


@POSIX
def test_what_belongs_to_another_user_is_not_read(store, monkeypatch, capfd):
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert again(store).read("kernel") is None
    assert f"belongs to user {os.getuid()}, not to user {os.getuid() + 1}\n" in capfd.readouterr().err


@ROOT_ALONE
@pytest.mark.parametrize("name", ["named/refengine/key/kernel", "named/refengine/key", "named/refengine", "named"])
def test_what_was_given_to_another_user_is_not_read(store, tmp_path, name):
    os.chown(tmp_path / name, 12345, 12345)
    assert again(store).read("kernel") is None


@POSIX
def test_a_link_is_judged_by_what_it_leads_to(store, tmp_path):
    key = store.folder
    key.rename(tmp_path / "elsewhere")
    key.symlink_to(tmp_path / "elsewhere")
    assert again(store).read("kernel") == b"machine code"
    (key / "kernel").rename(tmp_path / "file")
    (key / "kernel").symlink_to(tmp_path / "file")
    assert again(store).read("kernel") == b"machine code"
    (tmp_path / "file").chmod(0o666)
    assert again(store).read("kernel") is None
    (tmp_path / "file").chmod(0o600)
    (tmp_path / "elsewhere").chmod(0o777)
    assert again(store).read("kernel") is None


def test_systems_without_user_numbers_are_not_asked_for_owners(store, monkeypatch):
    monkeypatch.delattr(os, "geteuid", raising=False)
    (store.folder / "kernel").chmod(0o666)
    assert again(store).read("kernel") == b"machine code"


class Planted:
    """What makes a file when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


@POSIX
@pytest.mark.parametrize("hole", ["none", "mode of the folder", "owner of the files"])
def test_a_planted_pickle_is_not_run(warm, copy, tmp_path, hole):
    """With a digest that fits; only where owner and mode say that this user wrote it is it believed."""
    if hole.startswith("owner") and os.geteuid() != 0:
        pytest.skip("only root gives files away")
    for file in kernels_in(copy):
        Store(file.parent).write(file.name, pickle.dumps(Planted(tmp_path / "mark")))
        if hole == "owner of the files":
            os.chown(file, 12345, 12345)
    if hole == "mode of the folder":
        copy.chmod(0o777)
    done = run_tiny(warm, **{FOLDER_OPTION: str(copy)})
    assert done.stdout == "41 0\n"
    assert (tmp_path / "mark").exists() == (hole == "none")
    assert done.stderr.count("\n") == (hole != "none")


# ------------------------------------------------------------------------------------------------------------ no cache

AUDITED = """
import os, sys
def watch(event, arguments):
    if event in ("os.mkdir", "os.rename", "os.remove", "tempfile.mkstemp"):
        print(event, arguments, file=sys.stderr)
    if event == "open" and isinstance(arguments[2], int):
        kept = str(arguments[0]).endswith((".nbi", ".nbc", ".kernel"))
        if kept or arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            print(event, arguments, file=sys.stderr)
sys.addaudithook(watch)
"""


@pytest.mark.parametrize("place", ["device", "no home"])
def test_without_a_cache_kernels_are_right_and_nothing_is_written_anywhere(tmp_path, place):
    environment = {
        "device": {FOLDER_OPTION: f"{os.devnull}/x"},
        "no home": {FOLDER_OPTION: "", "HOME": str(tmp_path / "home")},
    }[place]
    command, environment = tiny(tmp_path, XDG_CACHE_HOME="", **environment)
    Path(command[1]).write_text(AUDITED + TINY)
    before = sorted(tmp_path.rglob("*"))
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout == "41 0\n"
    tried = [line for line in done.stderr.splitlines() if not line.startswith("os.mkdir")]
    assert tried == []
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("home", ["", "/nowhere/at/all"])
def test_a_user_without_a_home_has_no_cache(monkeypatch, home):
    for name in (FOLDER_OPTION, "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", home)
    assert cache._store.__wrapped__() is None


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_folder_that_cannot_be_made_holds_nothing(tmp_path, place):
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / place / "refengine" / "key")
    store.write("kernel", b"machine code")
    assert store.read("kernel") is None
    assert list(tmp_path.rglob("*")) == [tmp_path / "file"]


def test_a_folder_that_vanishes_while_it_is_used_stays_away(store):
    shutil.rmtree(store.folder)
    assert store.read("kernel") is None
    store.write("kernel", b"machine code")
    assert not store.folder.exists()


def test_a_full_disk_costs_time_alone(tmp_path):
    resource = pytest.importorskip("resource")
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    command, environment = tiny(tmp_path)
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, cwd=tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2048, hard)),
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "41 0\n", "")
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file() and path.stat().st_size]
