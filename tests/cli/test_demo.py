"""refengine demo: it works from any folder, writes what it says, and the commands that it names work."""

import shlex
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, PackagePath, PathDistribution
from multiprocessing import active_children

import pytest
from verbs import refengine, refusal

from refengine.cli import demo
from refengine.engine.run import run
from refengine.errors import FileError
from refengine.network.images import open_images
from refengine.network.int_file import read_int_network
from refengine.quantization.scheme import Scheme
from refengine.runs.trace import open_trace


@pytest.fixture
def quick(tmp_path, monkeypatch):
    """The demo in an empty folder, calibrated on few images and by the method that takes least time."""
    monkeypatch.setattr(demo, "CALIBRATION_IMAGES", 16)
    monkeypatch.setattr(demo, "SCHEME", replace(demo.SCHEME, method="paper"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_shows_and_writes_what_it_says(quick):
    outcome = refengine("demo", "--images", "30")
    assert outcome.code == 0
    network = read_int_network("refengine-demo/resnet20-fashion-ternary.h5")
    assert "calibrated on 16 images, run on 30 of the 10000 test images, integers only" in outcome.out
    assert f"model {network.hash}, contract 1, rounding half_up" in outcome.out
    assert all(layer.name in outcome.out for layer in network.layers)
    assert all(words in outcome.out for words in ("integers top-1", "float top-1", "multiplications replaced"))
    with open_trace("refengine-demo/trace.h5") as trace, open_images(demo.shipped(demo.TEST)) as images:
        assert (trace.model_hash, trace.count) == (network.hash, demo.TRACED)
        assert (trace.logits.whole() == run(network, images.read(0, demo.TRACED), "reference")).all()
    for line in outcome.out.splitlines():
        if line.startswith("  refengine "):
            limit = ["--limit", "10"] if "evaluate" in line else []
            assert refengine(*shlex.split(line)[1:], *limit).code == 0, line
    assert outcome.out.count("\n  refengine ") == 4


@pytest.mark.slow
def test_kernels_are_compiled_ahead_where_there_are_none(quick, monkeypatch):
    """In a process of its own, that keeps them in the cache folder; where there are some, nothing is started."""
    monkeypatch.setenv("REFENGINE_CACHE", str(quick / "cache"))
    files = str(demo.shipped(demo.NETWORK)), str(demo.shipped(demo.TEST))
    demo.compile_ahead(*files)
    (process,) = [child for child in active_children() if child.daemon]
    process.join(120)
    assert process.exitcode == 0
    (kernels,) = (quick / "cache" / "refengine").iterdir()
    assert [*kernels.glob("*walk*")]
    demo.compile_ahead(*files)
    assert active_children() == []


def test_its_scheme_is_the_one_it_names():
    assert Scheme(weights="ternary", cluster=4, activations="uint8") == demo.SCHEME


def test_figures_and_another_folder(quick):
    outcome = refengine("demo", "--images", "3", "--output-dir", "a/b c", "--threads", "1", "--json", "-")
    figures = outcome.json
    assert (figures["report"], figures["count"]) == ("demo", 3)
    assert 0.9 < figures["multiplications_replaced"] < 1
    assert read_int_network(figures["model"]).hash == figures["model_hash"]
    assert sorted(path.name for path in (quick / "a" / "b c").iterdir()) == [
        "resnet20-fashion-ternary.h5",
        "trace.h5",
    ]


def test_a_folder_that_cannot_be(quick):
    (quick / "file").write_text("in the way")
    assert "cannot be made a folder" in refusal("demo", "--output-dir", "file")
    assert "cannot be made a folder" in refusal("demo", "--output-dir", "file/below")


@pytest.mark.parametrize("place", ["weights", "share/refengine", "somewhere/share/refengine"])
def test_shipped_files_are_found(tmp_path, monkeypatch, place):
    """In a clone, in a folder given to pip, and where pip says that it put them."""
    shipped = tmp_path / place / "net.h5"
    shipped.parent.mkdir(parents=True)
    shipped.touch()
    (tmp_path / "site-packages").mkdir()
    monkeypatch.setattr(demo, "__file__", str(tmp_path / "refengine" / "cli" / "demo.py"))
    record = PackagePath("../somewhere/share/refengine/net.h5")
    record.dist = PathDistribution(tmp_path / "site-packages" / "refengine.dist-info")
    monkeypatch.setattr(demo, "installed_files", lambda package: [record])
    assert demo.shipped("net.h5") == shipped


def test_shipped_files_that_are_missing(monkeypatch):
    def not_installed(package):
        raise PackageNotFoundError(package)

    monkeypatch.setattr(demo, "installed_files", not_installed)
    with pytest.raises(FileError, match=r"nothing\.h5 ships with refengine and is not there; looked in .*weights"):
        demo.shipped("nothing.h5")
