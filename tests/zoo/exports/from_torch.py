#!/usr/bin/env python3
"""Exports PyTorch's library models to ONNX: families torch (the older exporter), torch-dynamo and peers.

    from_torch.py FOLDER [NAME …]        writes FOLDER/FAMILY/NAME.onnx

Weights are random of a fixed seed: what is exported is the library's module, not something trained here. The peers' models
are those of their published examples, written anew from what these say of themselves.
"""

import logging
import sys
import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

SEED = 7


class Of(nn.Module):
    """A function of tensors as a module."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *tensors):
        return self.function(self, *tensors)


class First(nn.Module):
    """The first of a module's outputs."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, *tensors):
        return self.inner(*tensors)[0]


class Twice(nn.Module):
    """Self-attention: one tensor as query, key and value."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x, x, x)[0]


def normal(*shape):
    return torch.randn(*shape)


def vision(name, size=32, **options):
    def make():
        import torchvision

        return getattr(torchvision.models, name)(weights=None, **options), (normal(1, 3, size, size),)

    return make


class Logits(nn.Module):
    """A transformer of the library as a function of tensors alone."""

    def __init__(self, inner, name="input_ids"):
        super().__init__()
        self.inner, self.argument = inner, name

    def forward(self, x):
        return self.inner(**{self.argument: x}, return_dict=False)[0]


def words(model, config, **options):
    def make():
        import transformers

        made = getattr(transformers, config)(attn_implementation="eager", **options)
        inner = getattr(transformers, model)(made)
        inner.config.use_cache = False
        return Logits(inner), (torch.randint(0, 64, (1, 12)),)

    return make


def picture(model, config, argument="pixel_values", shape=(1, 3, 32, 32), **options):
    def make():
        import transformers

        made = getattr(transformers, config)(attn_implementation="eager", **options)
        return Logits(getattr(transformers, model)(made), argument), (normal(*shape),)

    return make


SMALL = {"vocab_size": 64, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
LLAMA = SMALL | {"num_key_value_heads": 1, "head_dim": 8, "max_position_embeddings": 32}
VIT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def layer(module, *shape):
    return lambda: (module(), (normal(*shape),))


def function(body, *shapes, **parts):
    return lambda: (Of(body, **{n: p() for n, p in parts.items()}), tuple(normal(*s) for s in shapes))


TORCH = {
    "resnet18": vision("resnet18", 32, num_classes=10),
    "resnet50": vision("resnet50", 32, num_classes=10),
    "mobilenet-v2": vision("mobilenet_v2", 32, num_classes=10),
    "mobilenet-v3-small": vision("mobilenet_v3_small", 32, num_classes=10),
    "squeezenet1-1": vision("squeezenet1_1", 64, num_classes=10),
    "shufflenet-v2-x0-5": vision("shufflenet_v2_x0_5", 32, num_classes=10),
    "mnasnet0-5": vision("mnasnet0_5", 32, num_classes=10),
    "densenet121": vision("densenet121", 32, num_classes=10),
    "efficientnet-b0": vision("efficientnet_b0", 32, num_classes=10),
    "regnet-y-400mf": vision("regnet_y_400mf", 32, num_classes=10),
    "googlenet": vision("googlenet", 64, num_classes=10, init_weights=False, aux_logits=False),
    "convnext-tiny": vision("convnext_tiny", 32, num_classes=10),
}

DYNAMO = {
    "linear": layer(lambda: nn.Linear(16, 8), 1, 16),
    "bilinear": lambda: (nn.Bilinear(6, 5, 4), (normal(1, 6), normal(1, 5))),
    "conv1d": layer(lambda: nn.Conv1d(4, 8, 3, padding=1), 1, 4, 20),
    "conv2d": layer(lambda: nn.Conv2d(3, 6, 3, stride=2, padding=1), 1, 3, 12, 12),
    "conv-transpose2d": layer(lambda: nn.ConvTranspose2d(4, 3, 3, stride=2), 1, 4, 6, 6),
    "batch-norm2d": layer(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()), 1, 3, 8, 8),
    "layer-norm": layer(lambda: nn.LayerNorm(16), 1, 6, 16),
    "group-norm": layer(lambda: nn.GroupNorm(2, 8), 1, 8, 6, 6),
    "instance-norm2d": layer(lambda: nn.InstanceNorm2d(4, affine=True), 1, 4, 8, 8),
    "rms-norm": layer(lambda: nn.RMSNorm(16), 1, 6, 16),
    "local-response-norm": layer(lambda: nn.LocalResponseNorm(3), 1, 6, 5, 5),
    "max-pool2d": layer(lambda: nn.MaxPool2d(3, 2, 1), 1, 3, 12, 12),
    "avg-pool2d": layer(lambda: nn.AvgPool2d(2), 1, 3, 12, 12),
    "adaptive-avg-pool2d": layer(lambda: nn.AdaptiveAvgPool2d(2), 1, 3, 8, 8),
    "lp-pool2d": layer(lambda: nn.LPPool2d(2, 2), 1, 3, 8, 8),
    "pixel-shuffle": layer(lambda: nn.PixelShuffle(2), 1, 8, 4, 4),
    "upsample-bilinear": layer(lambda: nn.Upsample(scale_factor=2, mode="bilinear"), 1, 3, 6, 6),
    "reflection-pad2d": layer(lambda: nn.ReflectionPad2d(2), 1, 3, 6, 6),
    "gelu": layer(lambda: nn.Sequential(nn.Linear(16, 16), nn.GELU(), nn.Linear(16, 4)), 1, 16),
    "softmax": layer(lambda: nn.Sequential(nn.Linear(16, 10), nn.Softmax(-1)), 1, 16),
    "log-softmax": layer(lambda: nn.Sequential(nn.Linear(16, 10), nn.LogSoftmax(-1)), 1, 16),
    "prelu": layer(lambda: nn.PReLU(4), 1, 4, 6),
    "mish": layer(nn.Mish, 1, 32),
    "hardswish": layer(nn.Hardswish, 1, 32),
    "softplus": layer(nn.Softplus, 1, 32),
    "glu": layer(nn.GLU, 1, 32),
    "embedding": lambda: (nn.Embedding(32, 8), (torch.randint(0, 32, (1, 10)),)),
    "cosine-similarity": lambda: (nn.CosineSimilarity(), (normal(1, 16), normal(1, 16))),
    "rnn": layer(lambda: First(nn.RNN(6, 8, batch_first=True)), 1, 5, 6),
    "lstm": layer(lambda: First(nn.LSTM(6, 8, batch_first=True)), 1, 5, 6),
    "gru": layer(lambda: First(nn.GRU(6, 8, batch_first=True)), 1, 5, 6),
    "multihead-attention": layer(lambda: Twice(nn.MultiheadAttention(16, 2, batch_first=True)), 1, 6, 16),
    "transformer-encoder-layer": layer(
        lambda: nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, dropout=0.0), 1, 6, 16
    ),
    "transformer-decoder-layer": lambda: (
        nn.TransformerDecoderLayer(16, 2, 32, batch_first=True, dropout=0.0),
        (normal(1, 4, 16), normal(1, 6, 16)),
    ),
    "resnet18": vision("resnet18", 32, num_classes=10),
    "mobilenet-v2": vision("mobilenet_v2", 32, num_classes=10),
    "squeezenet1-1": vision("squeezenet1_1", 64, num_classes=10),
    "vit": lambda: vit(),
    "swin": lambda: swin(),
    "bert": words("BertModel", "BertConfig", **SMALL),
    "distilbert": words(
        "DistilBertModel", "DistilBertConfig", vocab_size=64, dim=16, n_layers=2, n_heads=2, hidden_dim=32
    ),
    "roberta": words("RobertaForSequenceClassification", "RobertaConfig", **SMALL),
    "albert": words("AlbertModel", "AlbertConfig", embedding_size=8, **SMALL),
    "electra": words("ElectraModel", "ElectraConfig", embedding_size=8, **SMALL),
    "gpt2": words("GPT2LMHeadModel", "GPT2Config", vocab_size=64, n_positions=32, n_embd=16, n_layer=2, n_head=2),
    "gpt-neox": words("GPTNeoXForCausalLM", "GPTNeoXConfig", max_position_embeddings=32, **SMALL),
    "llama": words("LlamaForCausalLM", "LlamaConfig", **LLAMA),
    "qwen2": words("Qwen2ForCausalLM", "Qwen2Config", **{k: v for k, v in LLAMA.items() if k != "head_dim"}),
    "vit-transformers": picture("ViTForImageClassification", "ViTConfig", image_size=32, patch_size=8, **VIT),
    "resnet-transformers": picture(
        "ResNetForImageClassification", "ResNetConfig", embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1]
    ),
    "wav2vec2": picture(
        "Wav2Vec2Model", "Wav2Vec2Config", "input_values", (1, 1600), conv_dim=[8, 8], conv_kernel=[10, 3],
        conv_stride=[5, 2], num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, **SMALL,
    ),
}


def vit():
    from torchvision.models.vision_transformer import VisionTransformer

    model = VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=10)
    # The library starts the head at 0, which would make every answer 0.
    nn.init.normal_(model.heads.head.weight, std=0.3)
    return model, (normal(1, 3, 32, 32),)


def swin():
    from torchvision.models.swin_transformer import SwinTransformer

    return SwinTransformer([4, 4], 8, [2, 2], [1, 2], [4, 4], num_classes=10), (normal(1, 3, 32, 32),)


class Block(nn.Module):
    """nanoGPT's block: attention that looks back, and a layer of width four."""

    def __init__(self, width, heads, longest):
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.register_buffer("past", torch.tril(torch.ones(longest, longest)).bool())

    def attend(self, x):
        b, t, c = x.shape
        q, k, v = (p.view(b, t, self.heads, c // self.heads).transpose(1, 2) for p in self.qkv(x).split(c, dim=2))
        scores = (q @ k.transpose(-2, -1)) * (c // self.heads) ** -0.5
        scores = scores.masked_fill(~self.past[:t, :t], -1e4).softmax(-1)
        return self.out((scores @ v).transpose(1, 2).reshape(b, t, c))

    def forward(self, x):
        x = x + self.attend(self.before(x))
        h = self.wide(self.between(x))
        h = 0.5 * h * (1 + torch.tanh(0.7978845608 * (h + 0.044715 * h * h * h)))
        return x + self.narrow(h)


class NanoGpt(nn.Module):
    def __init__(self, words=65, width=64, heads=4, layers=4, longest=64):
        super().__init__()
        self.word, self.place = nn.Embedding(words, width), nn.Embedding(longest, width)
        self.blocks = nn.Sequential(*[Block(width, heads, longest) for _ in range(layers)])
        self.last, self.head = nn.LayerNorm(width), nn.Linear(width, words, bias=False)

    def forward(self, ids):
        at = torch.arange(ids.shape[1])
        return self.head(self.last(self.blocks(self.word(ids) + self.place(at))))


class Trend(nn.Module):
    """Decomposition of a series: its moving mean, and what is left, each by a linear layer."""

    def __init__(self, length=96, ahead=1, window=25):
        super().__init__()
        self.half, self.mean = (window - 1) // 2, nn.AvgPool1d(window, 1)
        self.season, self.trend = nn.Linear(length, ahead), nn.Linear(length, ahead)

    def forward(self, x):
        padded = torch.cat([x[:, :1].repeat(1, self.half, 1), x, x[:, -1:].repeat(1, self.half, 1)], 1)
        trend = self.mean(padded.permute(0, 2, 1))
        season = x.permute(0, 2, 1) - trend
        return (self.season(season) + self.trend(trend)).permute(0, 2, 1)


def lenet():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )


PEERS = {
    # zkonduit/ezkl, examples/onnx/NAME.
    "ezkl-1l-average": layer(lambda: nn.AvgPool2d(2, 1), 1, 1, 3, 3),
    "ezkl-1l-batch-norm": layer(lambda: nn.BatchNorm2d(3), 1, 3, 2, 2),
    "ezkl-1l-conv": layer(lambda: nn.Conv2d(3, 3, (1, 1), 1, 1), 1, 3, 1, 1),
    "ezkl-1l-conv-transpose": layer(lambda: nn.ConvTranspose2d(3, 3, (5, 5), stride=2, padding=2), 1, 3, 5, 5),
    "ezkl-1l-elu": layer(nn.ELU, 1, 3),
    "ezkl-1l-erf": function(lambda _, x: torch.special.erf(x), (1, 3)),
    "ezkl-1l-gelu-noappx": layer(nn.GELU, 1, 3),
    "ezkl-1l-instance-norm": layer(lambda: nn.InstanceNorm2d(3), 1, 3, 2, 2),
    "ezkl-1l-leakyrelu": layer(nn.LeakyReLU, 1, 3),
    "ezkl-1l-linear": layer(lambda: nn.Linear(4, 3), 1, 4),
    "ezkl-1l-lppool": layer(lambda: nn.LPPool2d(2, 1, 1), 1, 3, 2, 2),
    "ezkl-1l-max-pool": layer(lambda: nn.MaxPool2d(2), 1, 3, 4, 4),
    "ezkl-1l-pad": layer(lambda: nn.ConstantPad2d(4, 3.5), 1, 3, 2, 2),
    "ezkl-1l-prelu": layer(lambda: nn.PReLU(num_parameters=3, init=0.25), 1, 3, 2, 2),
    "ezkl-1l-sigmoid": layer(nn.Sigmoid, 1, 3),
    "ezkl-1l-softmax": layer(lambda: nn.Softmax(-1), 1, 3),
    "ezkl-1l-sqrt": function(lambda _, x: torch.sqrt(x.abs()), (1, 3)),
    "ezkl-1l-topk": function(lambda _, x: torch.topk(x, 4, largest=False)[0], (1, 6)),
    "ezkl-1l-upsample": layer(lambda: nn.Upsample(scale_factor=2, mode="nearest"), 1, 3, 2, 2),
    "ezkl-1l-var": function(lambda _, x: torch.var(x, unbiased=False, dim=[2, 3]), (1, 1, 3, 3)),
    "ezkl-1l-where": function(lambda _, x: torch.where(x >= 0.0, 3.0, 5.0), (1, 64)),
    "ezkl-2l-relu-fc": layer(lambda: nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3), nn.ReLU()), 1, 3),
    "ezkl-4l-relu-conv-fc": layer(
        lambda: nn.Sequential(
            nn.Conv2d(1, 2, 5, 2), nn.ReLU(), nn.Conv2d(2, 3, 5, 2), nn.ReLU(), nn.Flatten(), nn.Linear(48, 48),
            nn.ReLU(), nn.Linear(48, 10),
        ), 1, 1, 28, 28,
    ),
    "ezkl-celu": layer(nn.CELU, 1, 8),
    "ezkl-clip": function(lambda _, x: torch.clamp(x, -0.5, 0.5), (1, 3, 2, 2)),
    "ezkl-gru": layer(lambda: First(nn.GRU(3, 3)), 1, 3),
    "ezkl-layernorm": layer(lambda: nn.LayerNorm([3, 2, 2]), 1, 3, 2, 2),
    "ezkl-less": function(lambda _, x, y: torch.where(x < y, x, y), (1, 8), (1, 8)),
    "ezkl-log-softmax": layer(lambda: nn.LogSoftmax(-1), 1, 3),
    "ezkl-lstm": layer(lambda: First(nn.LSTM(3, 3)), 1, 3),
    "ezkl-ltsf": layer(Trend, 1, 96, 1),
    "ezkl-mish": layer(nn.Mish, 1, 4),
    "ezkl-multihead-attention": layer(lambda: Twice(nn.MultiheadAttention(16, 2, batch_first=True)), 1, 8, 16),
    "ezkl-nanogpt": lambda: (NanoGpt(), (torch.randint(0, 65, (1, 64)),)),
    "ezkl-rnn": layer(lambda: First(nn.RNN(3, 3)), 1, 3),
    "ezkl-self-attention": layer(lambda: Block(64, 4, 64), 1, 64, 64),
    # JSTprove's examples: LeNet; zkml's: an MNIST network of two convolutions; DeepProve's: an MLP and a CNN for CIFAR.
    "jstprove-lenet": layer(lenet, 1, 1, 28, 28),
    "zkml-mnist": layer(
        lambda: nn.Sequential(
            nn.Conv2d(1, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 16, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(576, 10)
        ), 1, 1, 28, 28,
    ),
    "deepprove-mlp": layer(
        lambda: nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3)), 1, 4
    ),
    "deepprove-cnn-cifar10": layer(
        lambda: nn.Sequential(
            nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
        ), 1, 3, 32, 32,
    ),
}

FAMILIES = {"torch": TORCH, "torch-dynamo": DYNAMO, "peers": PEERS}


def normalise(module, inputs):
    """Running means and variances as they are for normal inputs: with 0 and 1 a deep network forgets its input."""
    norms = [p for p in module.modules() if isinstance(p, nn.modules.batchnorm._BatchNorm)]
    if norms:
        for part in norms:
            part.momentum = 1.0
        module.train()
        with torch.no_grad():
            module(*[normal(16, *i.shape[1:]) for i in inputs])


def export(family, make, path):
    torch.manual_seed(SEED)
    module, inputs = make()
    normalise(module, inputs)
    module.eval()
    path.parent.mkdir(parents=True, exist_ok=True)
    names = {"input_names": [f"input{i}" for i in range(len(inputs))]}
    if family == "torch-dynamo":
        torch.onnx.export(module, inputs, path, dynamo=True, external_data=False, verbose=False, **names)
    else:
        torch.onnx.export(module, inputs, str(path), dynamo=False, opset_version=17, **names)


def main(folder, *only):
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    failed = 0
    for family, models in FAMILIES.items():
        for name, make in models.items():
            if only and name not in only and f"{family}/{name}" not in only:
                continue
            try:
                export(family, make, Path(folder) / family / f"{name}.onnx")
            except Exception as error:  # what an exporter refuses is told, and the others follow
                failed += 1
                print(f"{family}/{name}: {type(error).__name__}: {str(error)[:300]}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
