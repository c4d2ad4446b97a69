"""Models that are kept: the same integers as quantized anew, and never those of other inputs."""

from dataclasses import replace
from pathlib import Path

import pytest

from refengine.bench import models
from refengine.bench.bench import random_images
from refengine.kernels import cache
from refengine.network import geometry as geometries
from refengine.quantization.quantize import quantize
from refengine.quantization.scheme import Scheme

QUICK = Scheme(method="optimal", exponents="max")
TINY = geometries.Geometry(8, 5, (16,), (1,), large_stem=False)


@pytest.fixture
def made(monkeypatch, tmp_path):
    """A tiny network, a cache of its own, and a list of the schemes that were really quantized."""
    monkeypatch.setattr(geometries, "GEOMETRIES", {"tiny": TINY})
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path / "cache/refengine/kernels")
    seen = []

    def counted(network, images, scheme, *rest):
        seen.append(scheme)
        return quantize(network, images, scheme, *rest)

    monkeypatch.setattr(models, "quantize", counted)
    return seen


def test_a_model_is_quantized_once(made):
    network = geometries.geometry("tiny")
    images = random_images(network, 2)
    first, again = (models.quantized(network, images, QUICK) for _ in range(2))
    assert len(made) == 1
    assert first.hash == again.hash == quantize(network, images, QUICK).hash


def test_other_weights_images_and_schemes_are_other_models(made):
    network, other = (geometries.geometry("tiny", seed) for seed in (0, 1))
    images = random_images(network, 2)
    calls = [
        (network, images, QUICK),
        (other, images, QUICK),
        (network, images[:1], QUICK),
        (network, images, replace(QUICK, cluster=8)),
    ]
    found = [models.quantized(*call).hash for call in calls]
    assert len(made) == 4
    assert found == [quantize(*call).hash for call in calls]


def test_a_damaged_model_is_made_again(made, tmp_path):
    network = geometries.geometry("tiny")
    images = random_images(network, 2)
    first = models.quantized(network, images, QUICK)
    (file,) = (tmp_path / "cache/refengine/models").iterdir()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert models.quantized(network, images, QUICK).hash == first.hash
    assert len(made) == 2


def test_without_a_folder_nothing_is_kept(made, monkeypatch):
    monkeypatch.setattr(cache, "cache_folder", lambda: Path("/proc/none/refengine/kernels"))
    network = geometries.geometry("tiny")
    images = random_images(network, 1)
    assert [models.quantized(network, images, QUICK).hash for _ in range(2)] == [
        quantize(network, images, QUICK).hash
    ] * 2
    assert len(made) == 2
