"""Networks as people write them in PyTorch: the converted one gives PyTorch's logits."""

import numpy as np
import pytest

from refengine import optional
from refengine.errors import NetworkError, RefengineError
from refengine.network.forward import forward, normalise

if not optional.installed("torch"):
    pytest.skip("torch is missing", allow_module_level=True)

torch = optional.package("torch")
nn, functional = torch.nn, torch.nn.functional

from refengine.interop.torch.convert import from_torch  # noqa: E402  (after the check that torch is there)

MEAN, STD = (123.7, 116.3, 103.5), (58.4, 57.1, 57.4)


def unit(inputs, outputs, kernel=1, activation=nn.ReLU, **window):
    """Convolution, batch norm and activation."""
    conv = nn.Conv2d(inputs, outputs, kernel, bias=False, padding=kernel // 2, **window)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), *([activation(inplace=True)] if activation else []))


class Residual(nn.Module):
    """Two blocks as in ResNet, the second with a projection; additions in place and not."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(unit(3, 8, 7, stride=2), nn.MaxPool2d(3, 2, 1))
        self.one = nn.Sequential(unit(8, 8, 3), unit(8, 8, 3, None))
        self.two = nn.Sequential(unit(8, 12, 3, stride=2), unit(12, 12, 3, None))
        self.downsample = unit(8, 12, 1, None, stride=2)
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(12, 5)

    def forward(self, x):
        x = self.stem(x)
        out = self.one(x)
        out += x
        out = functional.relu(out, inplace=True)
        out = torch.relu(torch.add(self.two(out), self.downsample(out)))
        return self.fc(torch.flatten(self.avgpool(out), 1))


class InvertedResidual(nn.Module):
    """As MobileNetV2: expansions, depthwise convolutions, ReLU6, linear ends, a mean over H and W."""

    def __init__(self):
        super().__init__()
        self.stem = unit(3, 8, 3, nn.ReLU6, stride=2)
        self.block = nn.Sequential(
            unit(8, 24, 1, nn.ReLU6), unit(24, 24, 3, nn.ReLU6, groups=24), unit(24, 8, 1, activation=None)
        )
        self.head = nn.Conv2d(8, 16, 3, padding="same")
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(16, 5))

    def forward(self, x):
        x = self.stem(x)
        x = functional.hardtanh(self.head(x + self.block(x)), 0.0, 6.0)
        return self.classifier(x.mean((2, 3)))


class Plain(nn.Module):
    """As VGG: pools, an adaptive pool to 2x2, views by size, fully connected layers with dropout."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(True), nn.MaxPool2d(2), nn.ReLU())
        self.avgpool = nn.AdaptiveAvgPool2d((2, 2))
        self.classifier = nn.Sequential(nn.Linear(24, 9), nn.ReLU(True), nn.Dropout(), nn.Linear(9, 5))

    def forward(self, x):
        x = self.avgpool(self.features(x))
        return self.classifier(x.view(x.size(0), -1))


class Squeezed(nn.Module):
    """As SqueezeNet: fire modules, pools with ceil_mode, a convolution that gives the classes."""

    def __init__(self):
        super().__init__()
        self.stem, self.squeeze = nn.Conv2d(3, 6, 3, stride=2), nn.Conv2d(6, 3, 1)
        self.expand1, self.expand3 = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(8, 5, 1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1))

    def forward(self, x):
        x = functional.max_pool2d(functional.relu(self.stem(x)), 3, 2, ceil_mode=True)
        x = functional.relu(self.squeeze(x))
        x = torch.cat([functional.relu(self.expand1(x)), functional.relu(self.expand3(x))], 1)
        return torch.flatten(self.head(x), 1)


class Inception(nn.Module):
    """As GoogLeNet: four branches, one with an average pool that counts its padding; normalises its input itself."""

    def __init__(self):
        super().__init__()
        self.register_buffer("shift", torch.tensor([0.1, -0.2, 0.3]).reshape(1, 3, 1, 1))
        self.branches = nn.ModuleList(
            [
                unit(3, 4),
                nn.Sequential(unit(3, 2), unit(2, 4, 3)),
                nn.Sequential(nn.MaxPool2d(3, 1, 1), unit(3, 2)),
                nn.Sequential(nn.AvgPool2d(3, 1, 1), unit(3, 2)),
            ]
        )
        self.fc = nn.Linear(12, 5, bias=False)

    def forward(self, x):
        x = (x - self.shift) / 0.7
        x = torch.cat([branch(x) for branch in self.branches], dim=1)
        x = functional.avg_pool2d(x, x.shape[2:])
        return self.fc(x.squeeze(-1).squeeze(-1))


class Padded(nn.Module):
    """Shortcuts without parameters: every second pixel, zero channels; zeros around that the convolution takes up."""

    def __init__(self):
        super().__init__()
        self.conv, self.pad = nn.Conv2d(3, 8, 3, stride=2), nn.ZeroPad2d((1, 1, 1, 1))
        self.fc = nn.Linear(8 * 8 * 8, 5)

    def forward(self, x):
        shortcut = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 3))
        return self.fc((self.conv(self.pad(x)) + shortcut).clamp(min=0, max=4).flatten(1))


class Turned(nn.Module):
    """Subtractions from a number, of one tensor scaled by another; pools of maxima to a size and to one pixel."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(20, 5)
        self.pool, self.most = nn.AdaptiveMaxPool2d((2, 2)), nn.AdaptiveMaxPool2d(1)

    def forward(self, x):
        x = 1 - self.conv(2.5 - x)
        return self.fc(torch.cat([self.pool(x).flatten(1), self.most(x).flatten(1)], 1))


class Probabilities(Turned):
    def forward(self, x):
        return super().forward(x).softmax(1)


NETWORKS = [Residual, InvertedResidual, Plain, Squeezed, Inception, Padded, Turned]


def made(kind):
    """A module with parameters drawn, its batch norms with statistics of their own."""
    torch.manual_seed(0)
    module = kind().eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, -1, 2)
            nn.init.normal_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.5, 2)
    return module


def converted(module, **options):
    return from_torch(module, torch.zeros(2, 3, 16, 16), MEAN, STD, **options)


@pytest.mark.parametrize("kind", NETWORKS, ids=lambda kind: kind.__name__)
def test_the_logits_are_those_of_torch(kind):
    module = made(kind)
    network = converted(module, channels="BGR", source="here", licence="MIT")
    assert (network.name, network.channels, network.source, network.licence) == (kind.__name__, "BGR", "here", "MIT")
    pixels = np.random.default_rng(1).integers(0, 256, (3, 16, 16, 3)).astype(np.uint8)
    x = (pixels[..., ::-1] - np.array(MEAN)) / np.array(STD)
    with torch.no_grad():
        wanted = module(torch.tensor(x.transpose(0, 3, 1, 2).copy(), dtype=torch.float32)).numpy()
    np.testing.assert_allclose(forward(network, pixels), wanted, rtol=1e-4, atol=1e-4)


def test_layers_are_called_as_in_the_module():
    names = [layer.name for layer in converted(made(Residual)).layers]
    assert names[1:3] == ["001_stem.0.0", "002_stem.0.1"]
    assert names[-1].endswith("_fc")


def test_what_the_module_normalises_itself_goes_into_mean_and_std():
    network = converted(made(Inception))
    np.testing.assert_allclose(network.mean, np.array(MEAN) + np.array([0.1, -0.2, 0.3]) * STD, rtol=1e-6)
    np.testing.assert_allclose(network.std, np.array(STD) * 0.7, rtol=1e-6)
    assert normalise(network, np.zeros((1, 16, 16, 3), np.uint8)).dtype == np.float32


class Gated(nn.Module):
    """Parts of the channels, gates by a pixel and by neighbouring channels, a shuffle of groups, a difference."""

    def __init__(self):
        super().__init__()
        self.conv, self.gate = nn.Conv2d(3, 6, 3, dilation=2, padding=2), nn.Conv2d(6, 6, 1)
        self.line = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, x):
        x = self.conv(x)
        x = x * torch.sigmoid(self.gate(x.mean((2, 3), keepdim=True)))
        a, b = x.chunk(2, dim=1)
        c = torch.cat([nn.functional.hardswish(a), b], 1)
        c = c.reshape(len(c), 2, 3, *c.shape[2:]).transpose(1, 2).reshape(c.shape)
        near = self.line(x.mean((2, 3)).unsqueeze(1)).transpose(1, 2).unsqueeze(-1)
        x = x * torch.sigmoid(near).expand_as(x) - x.relu()
        return torch.flatten(torch.cat([c, x[:, 1].unsqueeze(1), x[:, 2:4]], 1), 1)


ACTIVATIONS = [
    nn.LeakyReLU(0.2), nn.PReLU(6), nn.PReLU(), nn.ELU(0.5), nn.Sigmoid(), nn.SiLU(), nn.Tanh(), nn.GELU(),
    nn.GELU("tanh"), nn.Hardswish(), nn.Hardsigmoid(), nn.Hardtanh(-0.5, 0.75), nn.Mish(), nn.Softplus(),
]  # fmt: skip


@pytest.mark.parametrize(
    "module",
    [Gated(), *(nn.Sequential(nn.Conv2d(3, 6, 3), one, nn.Flatten()) for one in ACTIVATIONS)],
    ids=["Gated", *(type(one).__name__ for one in ACTIVATIONS)],
)
def test_tables_products_and_choices_of_channels(module):
    network = converted(module.eval())
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)
    x = torch.from_numpy(np.ascontiguousarray(normalise(network, pixels).transpose(0, 3, 1, 2)))
    with torch.no_grad():
        np.testing.assert_allclose(forward(network, pixels), module(x).numpy(), rtol=1e-4, atol=1e-5)


class Standardized(nn.Conv2d):
    """A convolution whose weights are brought to mean 0 and variance 1 whenever it runs, as NFNets have them."""

    def __init__(self, *sizes):
        super().__init__(*sizes)
        self.gain = nn.Parameter(torch.full((self.out_channels, 1, 1, 1), 0.5))

    def forward(self, x):
        flat, gain = self.weight.reshape(1, self.out_channels, -1), (self.gain * 0.25).view(-1)
        weight = nn.functional.batch_norm(flat, None, None, weight=gain, training=True, eps=1e-3)
        return self._conv_forward(x, weight.reshape_as(self.weight), self.bias)


def test_what_depends_on_weights_alone_is_computed_and_keeps_their_name():
    module = nn.Sequential(Standardized(3, 6, 3), nn.ReLU(), nn.Flatten()).eval()
    network = converted(module)
    assert [layer.name for layer in network.layers][1] == "001_0"
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)
    x = torch.from_numpy(np.ascontiguousarray(normalise(network, pixels).transpose(0, 3, 1, 2)))
    with torch.no_grad():
        np.testing.assert_allclose(forward(network, pixels), module(x).numpy(), rtol=1e-4, atol=1e-5)


def test_weights_that_two_read_stay_as_they_are():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, x):
            doubled = nn.functional.conv2d(x, self.conv.weight * 2, padding=1)
            return torch.flatten(self.conv(x) + doubled.relu(), 1)

    module = Shared().eval()
    network = converted(module)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)
    x = torch.from_numpy(np.ascontiguousarray(normalise(network, pixels).transpose(0, 3, 1, 2)))
    with torch.no_grad():
        np.testing.assert_allclose(forward(network, pixels), module(x).numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.Softsign(), nn.Flatten()), "two tensors|Abs|abs"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.CELU(2.0), nn.Flatten()), "celu|scales"),
        (nn.Sequential(nn.MaxPool2d(3, 1, dilation=2), nn.Flatten()), "dilations"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(5), nn.Flatten()), "needed a divisor of each side"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.Flatten()), "group_norm"),
        (nn.ConvTranspose2d(3, 4, 3), "conv_transpose2d"),
    ],
    ids=["activation", "scaled", "dilation", "uneven", "norm", "transposed"],
)
def test_what_it_cannot_say_is_named(module, message):
    with pytest.raises(NetworkError, match=message):
        converted(module.eval())


def test_a_module_in_training_is_refused():
    with pytest.raises(NetworkError, match=r"training mode, needed evaluation mode: module\.eval\(\)"):
        converted(Plain())


def test_a_module_that_looks_at_numbers_is_refused_in_one_line():
    class Asking(nn.Module):
        def forward(self, x):
            return x.flatten(1) if x.sum() > 0 else x.flatten(1) * 2

    with pytest.raises(NetworkError, match=r"torch\.export cannot follow the module") as caught:
        converted(Asking().eval())
    assert "\n" not in str(caught.value)


def test_a_softmax_at_the_end_is_left_out_and_said():
    with pytest.warns(UserWarning, match="the Softmax at its end is left out: the last layer gives logits"):
        network = converted(made(Probabilities))
    pixels = np.random.default_rng(1).integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)
    np.testing.assert_array_equal(forward(network, pixels), forward(converted(made(Turned)), pixels))
    with pytest.raises(NetworkError, match=r"\(Softmax\): has axis 1 of \(2, 4, 16, 16\), needed the classes'"):
        converted(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Softmax(1)).eval())


def test_mean_and_std_may_be_one_number():
    one, three = (
        from_torch(made(Plain), torch.zeros(1, 3, 16, 16), *given)
        for given in ((127.5, np.float32(64)), ((127.5,) * 3, (64.0,) * 3))
    )
    assert (one.mean, one.std) == (three.mean, three.std) == ((127.5,) * 3, (64.0,) * 3)
    with pytest.raises(NetworkError, match="mean is bright, needed one number, or one a channel"):
        from_torch(made(Plain), torch.zeros(1, 3, 16, 16), "bright")


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda module: module.half(), r"'features.0.weight' holds torch.float16, needed float32: module.float\(\)"),
        (lambda module: module.double(), r"holds torch.float64, needed float32: module.float\(\)"),
        (lambda module: module.bfloat16(), r"holds torch.bfloat16, needed float32: module.float\(\)"),
        (lambda module: module.to("meta"), "'features.0.weight' is on the device meta and has no numbers"),
        (lambda module: module.state_dict(), "the module is of type OrderedDict, needed a torch.nn.Module"),
        (lambda module: module.forward, "the module is of type method, needed a torch.nn.Module"),
        (nn.DataParallel, "the module is wrapped in DataParallel, needed what is in it: module.module"),
        (torch.ao.quantization.quantize_dynamic, r"the part 'classifier.0' is quantized already \(torch\."),
    ],
)
def test_what_is_no_module_of_floats_is_refused_in_one_line(spoil, complaint):
    with optional.quiet():
        module = spoil(made(Plain))
    with pytest.raises(NetworkError, match=complaint) as caught:
        converted(module)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "kind", [KeyError, IndexError, AttributeError, ZeroDivisionError, NotImplementedError, OSError]
)
def test_what_a_module_raises_is_one_line(kind):
    class Broken(nn.Module):
        def forward(self, x):
            raise kind("lost")

    with pytest.raises(NetworkError, match=rf"torch\.export cannot follow the module .*{kind.__name__}") as caught:
        converted(Broken().eval())
    assert "\n" not in str(caught.value)


def test_without_torch_one_line_says_what_to_install(monkeypatch):
    def missing(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(optional, "import_module", missing)
    with pytest.raises(RefengineError, match=r'torch cannot be imported .*; needed: pip install "refengine\[torch\]"'):
        from_torch(None, None)
