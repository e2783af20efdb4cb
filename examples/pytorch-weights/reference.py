"""Loads a saved model and asks it: the same job in PyTorch: python3 reference.py NAME ..."""

import json
import sys

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence


class Classifier(nn.Module):
    def __init__(self, letters, languages):
        super().__init__()
        self.embedding = nn.Embedding(letters, 16)
        self.lstm = nn.LSTM(16, 32)
        self.head = nn.Linear(32, languages)

    def forward(self, xs, lengths):
        packed = pack_padded_sequence(self.embedding(xs), lengths, enforce_sorted=False)
        _, (h, _) = self.lstm(packed)
        return self.head(h[-1])


def main(names):
    with open("vocabulary.json", encoding="utf8") as file:
        vocabulary = json.load(file)
    letters, languages = vocabulary["letters"], vocabulary["languages"]
    model = Classifier(len(letters), len(languages))
    model.load_state_dict(torch.load("model.pt"))
    model.eval()
    xs = [torch.tensor([letters.index(letter) for letter in name]) for name in names]
    with torch.no_grad():
        logits = model(pad_sequence(xs), torch.tensor([len(x) for x in xs]))
    for name, row in zip(names, logits):
        probability, language = row.softmax(0).max(0)
        print(f"{name}: {languages[language]} ({100 * probability:.0f} %)")


if __name__ == "__main__":
    main(sys.argv[1:])
