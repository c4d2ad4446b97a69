"""weights/train.py: what it writes computes what its PyTorch network computes."""

import importlib.util
import json
from pathlib import Path

import h5py
import numpy as np
import pytest

WEIGHTS = Path(__file__).resolve().parents[2] / "weights"


@pytest.fixture
def script(monkeypatch):
    """The module weights/train.py, loaded from its path; without PyTorch the test is skipped."""
    torch = pytest.importorskip("torch", reason="training needs PyTorch (the extra `train`)")
    monkeypatch.syspath_prepend(WEIGHTS)
    spec = importlib.util.spec_from_file_location("weights_train", WEIGHTS / "train.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on so little work, two threads spend their time waiting for each other
    yield module
    torch.set_num_threads(threads)


def random_network(script, seed):
    """A ResNet20 whose every parameter and statistic is random, so that no term hides behind a 0 or a 1."""
    torch = script.torch
    torch.manual_seed(seed)
    network = script.ResNet20().eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                for tensor in (module.weight, module.bias, module.running_mean):
                    tensor.normal_(0.5, 0.3)
                module.running_var.uniform_(0.5, 2.0)
    return network


# ---- the layout's operators, in float64, on one layer's inputs ------------------------------------------


def conv(layer, x):
    """Cross-correlation of x (N, I, H, W) with weight (O, I, KH, KW), zeros around."""
    weight = layer["weight"][:].astype(np.float64)
    top, left, bottom, right = layer.attrs["pads"]
    down, across = layer.attrs["strides"]
    assert layer.attrs["group"] == 1
    assert "bias" not in layer
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[2:], axis=(2, 3))
    return np.einsum("nihwkl,oikl->nohw", windows[:, :, ::down, ::across], weight, optimize=True)


def batchnorm(layer, x):
    """(x - mean) / sqrt(var + epsilon) * gamma + beta, by channel."""
    gamma, beta, mean, var = (
        layer[name][:].astype(np.float64)[:, None, None] for name in ("gamma", "beta", "mean", "var")
    )
    return (x - mean) / np.sqrt(var + layer.attrs["epsilon"]) * gamma + beta


def maxpool(layer, x):
    """The only one that is used: a window of one pixel, so that pooling leaves pixels out."""
    assert layer.attrs["kernel_shape"].tolist() == [1, 1]
    assert not any(layer.attrs["pads"])
    down, across = layer.attrs["strides"]
    return x[:, :, ::down, ::across]


def pad_channels(layer, x):
    """Zero channels before and after."""
    return np.pad(x, ((0, 0), (layer.attrs["before"], layer.attrs["after"]), (0, 0), (0, 0)))


def fully_connected(layer, x):
    """x (N, I) or (N, I, 1, 1) times weight (O, I), plus bias (O)."""
    return x.reshape(len(x), -1) @ layer["weight"][:].astype(np.float64).T + layer["bias"][:]


OPERATORS = {
    "conv": conv,
    "batchnorm": batchnorm,
    "maxpool": maxpool,
    "pad_channels": pad_channels,
    "fc": fully_connected,
    "relu": lambda layer, x: np.maximum(x, 0),
    "add": lambda layer, x, y: x + y,
    "global_avgpool": lambda layer, x: x.mean((2, 3)),
}


def logits_of_file(path, images):
    """Logits float64 (N, classes) of uint8 images (N, H, W, C), from nothing but the file."""
    with h5py.File(path) as file:
        x = (images.astype(np.float64) - file.attrs["mean"]) / file.attrs["std"]
        tensors = {}
        for key in sorted(file["layers"]):
            layer = file["layers"][key]
            operands = [tensors[name] for name in json.loads(layer.attrs["inputs"])]
            op = layer.attrs["op"]
            tensors[key] = x.transpose(0, 3, 1, 2) if op == "input" else OPERATORS[op](layer, *operands)
    return tensors[key]


def datasets(path):
    """Every dataset's bytes and every object's attributes, by name."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: found.update(
                {
                    name: (
                        item[()].tobytes() if isinstance(item, h5py.Dataset) else None,
                        {key: np.asarray(value).tolist() for key, value in item.attrs.items()},
                    ),
                }
            )
        )
    return found


# ---- the tests ------------------------------------------------------------------------------------------


def test_the_file_computes_what_the_network_computes(script, tmp_path):
    network = random_network(script, seed=3)
    script.write_network(network, tmp_path / "network.h5")
    images = np.random.default_rng(3).integers(0, 256, (4, 28, 28, 1), np.uint8)
    with script.torch.no_grad():
        expected = network(script.normalise(script.torch.tensor(images[..., 0]))).numpy()
    assert expected.std() > 0.1
    computed = logits_of_file(tmp_path / "network.h5", images)
    np.testing.assert_allclose(computed, expected, rtol=1e-3, atol=1e-3)


def test_two_exports_are_equal(script, tmp_path):
    network = random_network(script, seed=4)
    for name in ("first.h5", "second.h5"):
        script.write_network(network, tmp_path / name)
    first = datasets(tmp_path / "first.h5")
    assert first == datasets(tmp_path / "second.h5")
    assert len(first) > 100


def test_the_seed_fixes_the_training(script, monkeypatch):
    torch = script.torch
    monkeypatch.setattr(script, "BATCH", 16)
    pixels = torch.randint(256, (2 * script.BATCH, 28, 28), generator=torch.Generator().manual_seed(5)).byte()
    labels = torch.arange(len(pixels)) % 10
    trained = []
    for _ in range(2):
        torch.manual_seed(6)
        network = script.ResNet20()
        script.train(network, pixels, labels, epochs=1, seed=6)
        trained.append(network.fc.weight.detach().numpy())
    np.testing.assert_array_equal(*trained)


def test_augment_shifts_and_mirrors(script):
    """Every result is one of the 25 shifts, or the mirror image of one."""
    torch = script.torch
    image = torch.arange(1, 28 * 28 + 1).reshape(1, 28, 28)
    padded = torch.nn.functional.pad(image, (2, 2, 2, 2))
    cut = [padded[0, y : y + 28, x : x + 28] for y in range(5) for x in range(5)]
    allowed = {variant.numpy().tobytes() for shift in cut for variant in (shift, shift.flip(1))}
    results = script.augment(padded, torch.zeros(400, dtype=torch.long), torch.Generator().manual_seed(7))
    seen = {result.numpy().tobytes() for result in results}
    assert seen <= allowed
    assert len(seen) > 40
