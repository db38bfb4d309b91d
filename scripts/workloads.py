"""The models that are timed and whose copies are counted: as Keras code or a config, and as one would write them in
torch. ``k`` is ``keras`` or ``kerashape_torch``."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

APPLICATIONS = Path(__file__).resolve().parent.parent / "tests" / "data" / "applications"


class Workload(NamedTuple):
    """One model.

    Attributes:
        build: with Keras or with kerashape_torch.
        by_hand: the same in torch; it takes images channels first.
        shape: of one sample, as Keras has it.
        large: the size of the large batch; the other one is 1.
        padded: the samples have different lengths: zeros follow.
    """

    build: Callable[[Any], Any]
    by_hand: Callable[[], nn.Module]
    shape: tuple[int, ...]
    large: int
    padded: bool = False

    @property
    def channels_first(self) -> bool:
        return len(self.shape) == 3

    def inputs(self, batch: int, device: str) -> tuple[Tensor, Tensor]:
        """A batch as the Keras model takes it, and as the torch module does, channels last in memory."""
        x = torch.rand((batch, *self.shape), device=device)
        if self.padded:
            lengths = torch.randint(32, self.shape[0], (batch, 1), device=device)
            x = x * (torch.arange(self.shape[0], device=device) < lengths).unsqueeze(-1)
        return x, x.movedim(-1, 1) if self.channels_first else x


def alike(ours: Any, hand: nn.Module, x: Tensor, ready: Tensor) -> None:
    """Gives the hand-written module our numbers, part by part in the order in which they run, and compares outputs."""
    mine, theirs = ([part for part, _ in _ran(module, given)] for module, given in ((ours, x), (hand, ready)))
    with torch.no_grad():
        for a, b in zip(mine, theirs, strict=True):
            state = dict(a.named_parameters()) | dict(a.named_buffers())
            for (name, target), source in zip((dict(b.named_parameters()) | dict(b.named_buffers())).items(),
                                              state.values(), strict=True):
                if target.shape != source.shape:
                    raise ValueError(f"{type(b).__name__}.{name}: {target.shape} and {source.shape}")
                target.copy_(source)
        want, got = hand(ready), ours(x)
    torch.testing.assert_close(got, want.movedim(1, -1) if want.dim() > 3 else want, rtol=1e-3, atol=1e-4)


def _ran(module: nn.Module, x: Tensor) -> list[tuple[nn.Module, None]]:
    """The parts with weights of their own, each once, in the order in which they run."""
    seen: dict[nn.Module, None] = {}
    hooks = [part.register_forward_pre_hook(lambda part, _: seen.setdefault(part, None)) for part in module.modules()
             if any(True for _ in part.parameters(recurse=False))]
    with torch.no_grad():
        module(x)
    for hook in hooks:
        hook.remove()
    return list(seen.items())


def randomized(module: nn.Module) -> Any:
    """The module with statistics that are not 0 and 1."""
    generator = torch.Generator().manual_seed(0)
    for name, x in module.named_buffers():
        if name.endswith("running_mean"):
            x.copy_(torch.randn(x.shape, generator=generator) * 0.1)
        elif name.endswith("running_var"):
            x.copy_(torch.rand(x.shape, generator=generator) + 0.5)
    return module


# ---- dense -----------------------------------------------------------------------------------------------------------


def mlp(k: Any) -> Any:
    dense = k.layers.Dense
    return k.Sequential([k.layers.Input((784,)), dense(512, activation="relu"), dense(512, activation="relu"),
                         dense(10)])


def mlp_by_hand() -> nn.Module:
    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))


def transformer(k: Any) -> Any:
    layers = k.layers
    x = layers.Input((64, 256))
    y = layers.LayerNormalization(epsilon=1e-5)(x)
    y = layers.Add()([x, layers.MultiHeadAttention(4, 64)(y, y)])
    z = layers.Dense(1024, activation="gelu")(layers.LayerNormalization(epsilon=1e-5)(y))
    return k.Model(x, layers.Add()([y, layers.Dense(256)(z)]))


class TransformerBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(256), nn.LayerNorm(256)
        self.query, self.key, self.value, self.output = (nn.Linear(256, 256) for _ in range(4))
        self.wide, self.narrow = nn.Linear(256, 1024), nn.Linear(1024, 256)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        q, k, v = (each(y).unflatten(-1, (4, 64)).transpose(1, 2) for each in (self.query, self.key, self.value))
        x = x + self.output(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return x + self.narrow(F.gelu(self.wide(self.norm2(x))))


# ---- convolutional ---------------------------------------------------------------------------------------------------


def application(name: str) -> Callable[[Any], Any]:
    def build(k: Any) -> Any:
        return k.models.model_from_json(json.dumps(json.loads(
            gzip.decompress((APPLICATIONS / f"{name}.json.gz").read_bytes()))))

    return build


def cnn(k: Any) -> Any:
    layers = k.layers
    return k.Sequential([layers.Input((32, 32, 3)), layers.Conv2D(32, 3, padding="same", activation="relu"),
                         layers.MaxPooling2D(), layers.Conv2D(64, 3, padding="same", activation="relu"),
                         layers.MaxPooling2D(), layers.Conv2D(64, 3, activation="relu"),
                         layers.GlobalAveragePooling2D(), layers.Dense(10)])


def cnn_by_hand() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3, padding=1),
                         nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(64, 64, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                         nn.Flatten(), nn.Linear(64, 10))


def convolved(inputs: int, outputs: int, kernel: int, stride: int = 1, activation: nn.Module | None = None,
              groups: int = 1, bias: bool = False, eps: float = 1e-3) -> nn.Sequential:
    """A convolution that pads as Keras' applications do, its normalization, its activation."""
    uneven = stride > 1 and kernel > 1
    before, after = (kernel - 1) // 2 - (stride - 1), (kernel - 1) // 2
    return nn.Sequential(*[nn.ZeroPad2d((before, after, before, after))] if uneven else [],
                         nn.Conv2d(inputs, outputs, kernel, stride, 0 if uneven else kernel // 2, groups=groups,
                                   bias=bias),
                         nn.BatchNorm2d(outputs, eps), *[activation] if activation else [])


class Bottleneck(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int, first: bool) -> None:
        super().__init__()

        def convolution(a: int, b: int, kernel: int, stride: int = 1) -> nn.Module:
            return nn.Sequential(nn.Conv2d(a, b, kernel, stride, kernel // 2), nn.BatchNorm2d(b, 1.001e-5))

        self.shortcut = convolution(inputs, 4 * width, 1, stride) if first else nn.Identity()
        self.body = nn.Sequential(convolution(inputs, width, 1, stride), nn.ReLU(), convolution(width, width, 3),
                                  nn.ReLU(), convolution(width, 4 * width, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.shortcut(x) + self.body(x))


def resnet50_by_hand() -> nn.Module:
    parts: list[nn.Module] = [nn.Conv2d(3, 64, 7, 2, 3), nn.BatchNorm2d(64, 1.001e-5), nn.ReLU(),
                              nn.ZeroPad2d(1), nn.MaxPool2d(3, 2)]
    inputs = 64
    for width, blocks, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for i in range(blocks):
            parts.append(Bottleneck(inputs, width, 1 if i else stride, i == 0))
            inputs = 4 * width
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000), nn.Softmax(-1))


class Inverted(nn.Module):
    """The block of MobileNetV2."""

    def __init__(self, inputs: int, outputs: int, stride: int, expand: int) -> None:
        super().__init__()
        wide = inputs * expand
        self.adds = stride == 1 and inputs == outputs
        self.body = nn.Sequential(*[convolved(inputs, wide, 1, 1, nn.ReLU6())] if expand > 1 else [],
                                  convolved(wide, wide, 3, stride, nn.ReLU6(), wide), convolved(wide, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.adds else self.body(x)


def mobilenet_by_hand() -> nn.Module:
    parts: list[nn.Module] = [convolved(3, 32, 3, 2, nn.ReLU6())]
    inputs = 32
    for expand, outputs, blocks, stride in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
                                            (6, 160, 3, 2), (6, 320, 1, 1)):
        for i in range(blocks):
            parts.append(Inverted(inputs, outputs, 1 if i else stride, expand))
            inputs = outputs
    return nn.Sequential(*parts, convolved(320, 1280, 1, 1, nn.ReLU6()), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(1280, 1000), nn.Softmax(-1))


class Squeezed(nn.Module):
    """The block of EfficientNet."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        wide = inputs * expand
        self.adds = stride == 1 and inputs == outputs
        self.wide = nn.Sequential(*[convolved(inputs, wide, 1, 1, nn.SiLU())] if expand > 1 else [],
                                  convolved(wide, wide, kernel, stride, nn.SiLU(), wide))
        self.squeeze = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(wide, inputs // 4, 1), nn.SiLU(),
                                     nn.Conv2d(inputs // 4, wide, 1), nn.Sigmoid())
        self.narrow = convolved(wide, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.wide(x)
        y = self.narrow(y * self.squeeze(y))
        return x + y if self.adds else y


class EfficientNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(3, 1, 1))
        self.register_buffer("variance", torch.ones(3, 1, 1))
        parts: list[nn.Module] = [convolved(3, 32, 3, 2, nn.SiLU())]
        inputs = 32
        for kernel, blocks, outputs, expand, stride in ((3, 1, 16, 1, 1), (3, 2, 24, 6, 2), (5, 2, 40, 6, 2),
                                                        (3, 3, 80, 6, 2), (5, 3, 112, 6, 1), (5, 4, 192, 6, 2),
                                                        (3, 1, 320, 6, 1)):
            for i in range(blocks):
                parts.append(Squeezed(inputs, outputs, kernel, 1 if i else stride, expand))
                inputs = outputs
        self.body = nn.Sequential(*parts, convolved(320, 1280, 1, 1, nn.SiLU()), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                                  nn.Dropout(0.2), nn.Linear(1280, 1000), nn.Softmax(-1))

    def forward(self, x: Tensor) -> Tensor:
        return self.body((x / 255 - self.mean) / self.variance.sqrt())


def unet(k: Any) -> Any:
    layers = k.layers

    def double(x: Any, width: int) -> Any:
        for _ in range(2):
            x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
            x = layers.ReLU()(layers.BatchNormalization()(x))
        return x

    x = inputs = layers.Input((128, 128, 3))
    kept = []
    for width in (16, 32, 64):
        kept.append(double(x, width))
        x = layers.MaxPooling2D()(kept[-1])
    x = double(x, 128)
    for width, beside in zip((64, 32, 16), reversed(kept)):
        x = layers.Concatenate()([layers.Conv2DTranspose(width, 2, strides=2)(x), beside])
        x = double(x, width)
    return k.Model(inputs, layers.Conv2D(1, 1, activation="sigmoid")(x))


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()

        def double(inputs: int, width: int) -> nn.Module:
            return nn.Sequential(convolved(inputs, width, 3, 1, nn.ReLU()), convolved(width, width, 3, 1, nn.ReLU()))

        self.down = nn.ModuleList([double(3, 16), double(16, 32), double(32, 64)])
        self.bottom = double(64, 128)
        self.up = nn.ModuleList([nn.ConvTranspose2d(2 * width, width, 2, 2) for width in (64, 32, 16)])
        self.merge = nn.ModuleList([double(2 * width, width) for width in (64, 32, 16)])
        self.last = nn.Conv2d(16, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for down in self.down:
            kept.append(down(x))
            x = F.max_pool2d(kept[-1], 2)
        x = self.bottom(x)
        for up, merge, beside in zip(self.up, self.merge, reversed(kept)):
            x = merge(torch.cat([up(x), beside], 1))
        return torch.sigmoid(self.last(x))


# ---- recurrent -------------------------------------------------------------------------------------------------------


def lstm(k: Any) -> Any:
    return k.Sequential([k.layers.Input((128, 32)), k.layers.LSTM(64, return_sequences=True), k.layers.LSTM(64)])


class Last(nn.Module):
    """The last step of recurrent modules on each other."""

    def __init__(self, *recurrent: nn.RNNBase) -> None:
        super().__init__()
        self.recurrent = nn.ModuleList(recurrent)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.recurrent:
            x, _ = layer(x)
        return x[:, -1]


def gru(k: Any) -> Any:
    return k.Sequential([k.layers.Input((128, 32)), k.layers.GRU(64)])


def bidirectional(k: Any) -> Any:
    return k.Sequential([k.layers.Input((128, 32)), k.layers.Bidirectional(k.layers.LSTM(64, return_sequences=True)),
                         k.layers.GlobalAveragePooling1D()])


class BothWays(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.recurrent = nn.LSTM(32, 64, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.recurrent(x)[0].mean(1)


def masked_lstm(k: Any) -> Any:
    return k.Sequential([k.layers.Input((128, 32)), k.layers.Masking(), k.layers.LSTM(64, return_sequences=True),
                         k.layers.LSTM(64)])


class Packed(nn.Module):
    """As one writes it for padding at the end, which is all that packing knows."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent = nn.LSTM(32, 64, batch_first=True)
        self.second = nn.LSTM(64, 64, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        lengths = (x != 0).any(-1).sum(1).cpu()
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        _, (state, _) = self.second(self.recurrent(packed)[0])
        return state[0]


WORKLOADS = {
    "MLP": Workload(mlp, mlp_by_hand, (784,), 256),
    "CNN": Workload(cnn, cnn_by_hand, (32, 32, 3), 64),
    "ResNet50": Workload(application("ResNet50"), resnet50_by_hand, (224, 224, 3), 8),
    "MobileNetV2": Workload(application("MobileNetV2"), mobilenet_by_hand, (224, 224, 3), 8),
    "EfficientNetB0": Workload(application("EfficientNetB0"), EfficientNet, (224, 224, 3), 8),
    "U-Net": Workload(unet, UNet, (128, 128, 3), 8),
    "LSTM": Workload(lstm, lambda: Last(nn.LSTM(32, 64, batch_first=True), nn.LSTM(64, 64, batch_first=True)),
                     (128, 32), 32),
    "GRU": Workload(gru, lambda: Last(nn.GRU(32, 64, batch_first=True)), (128, 32), 32),
    "Bidirectional": Workload(bidirectional, BothWays, (128, 32), 32),
    "masked LSTM": Workload(masked_lstm, Packed, (128, 32), 32, padded=True),
    "Transformer block": Workload(transformer, TransformerBlock, (64, 256), 32),
}
