"""weights/finetune.py: the command turns a float network into one that quantize makes the trained integers of."""

import importlib.util
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from networks import random_images
from trainable import trainable

from refengine.errors import RangeError
from refengine.network.float_file import read_float_network, write_float_network
from refengine.network.forward import forward
from refengine.network.images import write_images
from refengine.quantization.quantize import quantize
from refengine.quantization.scheme import Scheme

WEIGHTS = Path(__file__).resolve().parents[2] / "weights"


@pytest.fixture
def script(monkeypatch):
    """The module weights/finetune.py, loaded from its path; without PyTorch the test is skipped."""
    torch = pytest.importorskip("torch", reason="fine-tuning needs PyTorch (the extra `train`)")
    monkeypatch.syspath_prepend(WEIGHTS)
    spec = importlib.util.spec_from_file_location("weights_finetune", WEIGHTS / "finetune.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "SETTLING_IMAGES", 16)
    threads = torch.get_num_threads()
    yield module
    torch.set_num_threads(threads)


@pytest.fixture
def files(tmp_path):
    """A float network and labelled images, the brighter the higher their class, as files."""
    network, labels = trainable(), np.arange(40) % 5
    write_float_network(network, tmp_path / "float.h5")
    images = random_images(network, 40) // 3 + (40 * labels[:, None, None, None]).astype(np.uint8)
    write_images(tmp_path / "images.h5", images, labels)
    return tmp_path


def tuned(script, folder, *options):
    """What the command makes of the files: the float network that it writes."""
    arguments = [folder / "float.h5", folder / "images.h5", "-o", folder / "tuned.h5", "--threads", 1, *options]
    script.finetune(script.parsed([str(argument) for argument in arguments]))
    return read_float_network(folder / "tuned.h5")


# ---- the command


@pytest.mark.parametrize(("weights", "exponents"), [("ternary", "mse"), ("int4", "max")])
def test_what_is_written_quantizes_to_the_integers_of_the_training(script, files, monkeypatch, weights, exponents):
    kept = []

    class Kept(script.Tuning):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            kept.append(self)

    monkeypatch.setattr(script, "Tuning", Kept)
    network = tuned(script, files, "--weights", weights, "--exponents", exponents, "--cluster", 4, "--epochs", 2)
    (tuning,) = kept
    scheme = Scheme(weights=weights, cluster=4, method="optimal", reestimate=True, exponents=exponents)
    made = quantize(network, tuning.images, scheme)
    assert made.hash == tuning.network.hash
    assert made.hash != quantize(trainable(), tuning.images, scheme).hash
    assert network.source == f"made here; fine-tuned for {weights} weights in clusters of 4 by weights/finetune.py"


def test_it_learns(script, files, monkeypatch, capsys):
    """In 32 steps."""
    monkeypatch.setattr(script, "BATCH", 10)
    tuned(script, files, "--cluster", 4, "--epochs", 8, "--shift", 0, "--no-mirror", "--teacher", 0)
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    losses, shares = ([float(line[place].rstrip("%")) for line in lines] for place in (3, 5))
    assert len(losses) == 8
    assert losses[-1] < losses[0] * 0.8
    assert shares[-1] > shares[0] + 20


def test_the_seed_fixes_the_training(script, files):
    runs = [tuned(script, files, "--epochs", 1, "--seed", seed) for seed in (1, 1, 2)]
    first, same, other = ([layer.constants for layer in run.layers if layer.op == "batchnorm"] for run in runs)
    np.testing.assert_equal([dict(c) for c in first], [dict(c) for c in same])
    assert any(not np.array_equal(a["beta"], b["beta"]) for a, b in zip(first, other, strict=True))


def test_what_is_wrong_is_one_line(script, files, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["finetune.py", str(files / "none.h5"), str(files), "-o", str(files / "x.h5")])
    with pytest.raises(SystemExit, match=r"finetune: error: .*none\.h5.*"):
        script.main()


@pytest.mark.parametrize(
    "page", [WEIGHTS / "finetune.py", WEIGHTS.parent / "docs" / "finetune.md"], ids=lambda p: p.name
)
def test_the_commands_that_are_shown_are_understood(script, page):
    commands = re.findall(r"python weights/finetune\.py (.*)", page.read_text(encoding="utf-8"))
    assert commands
    for command in commands:
        arguments = script.parsed(shlex.split(command))
        assert (arguments.network, arguments.cluster) == ("weights/resnet20-fashion.h5", 64)


def test_the_page_explains_every_option(script, capsys):
    page = (WEIGHTS.parent / "docs" / "finetune.md").read_text(encoding="utf-8")
    with pytest.raises(SystemExit):
        script.parsed(["--help"])
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help", "--output", "--threads"}
    assert known == set(re.findall(r"`(--[a-z-]+)`", page))


# ---- images


def test_files_of_images_are_joined(script, files):
    images, labels = script.read_images([files / "images.h5"] * 2, trainable())
    assert images.shape == (80, 8, 8, 3)
    np.testing.assert_array_equal(labels, np.tile(np.arange(40) % 5, 2))


def test_a_folder_holds_the_original_files(script, monkeypatch, tmp_path):
    network = trainable()
    given = (random_images(network, 6), np.arange(6, dtype=np.uint8) % 5)
    monkeypatch.setattr(script, "read_split", lambda folder, split: given if split == "train" else None)
    images, labels = script.read_images([tmp_path], network)
    np.testing.assert_array_equal(images, given[0])
    assert labels.dtype == np.int64


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        ((4, 7, 8, 3), [0, 1, 2, 3], r"\(7, 8, 3\).* reads \(8, 8, 3\)"),
        ((2, 8, 8, 3), [0, 5], "go up to 5, .* 5 classes"),
    ],
)
def test_images_of_no_use_are_refused(script, tmp_path, images, labels, message):
    write_images(tmp_path / "images.h5", np.zeros(images, np.uint8), np.array(labels))
    with pytest.raises(RangeError, match=message):
        script.read_images([tmp_path / "images.h5"], trainable())


def test_augment_shifts_and_mirrors(script):
    """Every result is one of the 25 shifts of its own image, or the mirror image of one, and most of them occur."""
    torch = script.torch
    images = torch.from_numpy(np.random.default_rng(7).integers(1, 256, (2, 6, 5, 3), np.uint8))
    padded = torch.nn.functional.pad(images, (0, 0, 2, 2, 2, 2))
    chosen = torch.arange(2).repeat(200)
    results = script.augment(padded, chosen, 2, True, torch.Generator().manual_seed(7))
    assert results.shape == (400, 3, 6, 5)
    for number in range(2):
        cut = [padded[number, y : y + 6, x : x + 5] for y in range(5) for x in range(5)]
        allowed = {variant.numpy().tobytes() for shift in cut for variant in (shift, shift.flip(1))}
        seen = {image.permute(1, 2, 0).contiguous().numpy().tobytes() for image in results[chosen == number]}
        assert seen <= allowed
        assert len(seen) > 40
    still = script.augment(images, torch.arange(2), 0, False, torch.Generator())
    assert torch.equal(still.permute(0, 2, 3, 1), images)


# ---- the loss


def test_the_teacher_is_the_float_network(script):
    network = trainable()
    images = random_images(network, 9)
    found = script.Teacher(network, "cpu")(script.torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
    wanted = forward(network, images)
    np.testing.assert_allclose(found, wanted, atol=0.03 * np.abs(wanted).max())  # bfloat16


def test_the_loss_is_shared_between_labels_and_teacher(script):
    torch = script.torch
    logits, target = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(8))
    labels = torch.arange(6) % 5
    alone, taught, half = (float(script.loss_of(logits, labels, target, share)) for share in (0.0, 1.0, 0.5))
    assert half == pytest.approx((alone + taught) / 2)
    own = script.loss_of(target, labels, target, 1.0)
    assert float(own) < taught  # nothing is nearer to the teacher's classes than the teacher's
