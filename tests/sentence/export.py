"""Writes the sentence model as an ONNX file, by PyTorch's older exporter: export.py FOLDER FILE TOKENS."""

import sys

import torch
from transformers import BertModel, logging


class Sentence(torch.nn.Module):
    """Tokens and which of them count → a vector of length 1: the mean of their last states, as the package's own pooling has it."""

    def __init__(self, bert):
        super().__init__()
        self.bert = bert

    def forward(self, input_ids, attention_mask):
        states = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        counts = attention_mask.unsqueeze(-1).float()
        mean = (states * counts).sum(1) / counts.sum(1).clamp(min=1e-9)
        return torch.nn.functional.normalize(mean, dim=1)


def main():
    folder, file, tokens = sys.argv[1], sys.argv[2], int(sys.argv[3])
    logging.set_verbosity_error()
    bert = BertModel.from_pretrained(folder, attn_implementation="eager").eval()
    ids = torch.ones((1, tokens), dtype=torch.int64)
    torch.onnx.export(
        Sentence(bert), (ids, torch.ones_like(ids)), file, input_names=["input_ids", "attention_mask"],
        output_names=["embedding"], opset_version=17, dynamo=False,
    )


main()
