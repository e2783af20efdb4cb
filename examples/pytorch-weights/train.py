"""Trains the model in PyTorch and saves it: model.pt, what its numbers mean, and its logits for some names."""

import json
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

from reference import Classifier

torch.manual_seed(1)
files = sorted((Path(__file__).parent / "../surnames/names").glob("*.txt"))
languages = [file.stem for file in files]
names = [
    (name.strip(), language)
    for language, file in enumerate(files)
    for name in file.read_text(encoding="utf8").strip().split("\n")
]
letters = sorted(set("".join(name for name, _ in names)))
examples = [(torch.tensor([letters.index(letter) for letter in name]), language) for name, language in names]


def collate(batch):
    xs, ys = zip(*batch)
    return pad_sequence(xs), torch.tensor(ys), torch.tensor([len(x) for x in xs])


model = Classifier(len(letters), len(languages))
optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
for epoch in range(3):
    for xs, ys, lengths in DataLoader(examples, batch_size=64, shuffle=True, collate_fn=collate):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(xs, lengths), ys).backward()
        optimizer.step()

torch.save(model.state_dict(), "model.pt")
json.dump({"letters": letters, "languages": languages}, open("vocabulary.json", "w"), ensure_ascii=False)
chosen = ["Satoshi", "Jackson", "Dovesky", "Rossi", "Papadopoulos", "Nguyen", "O'Neill", "Müller"]
xs, _, lengths = collate([(torch.tensor([letters.index(letter) for letter in name]), 0) for name in chosen])
with torch.no_grad():
    json.dump({"names": chosen, "logits": model(xs, lengths).tolist()}, open("expected.json", "w"), ensure_ascii=False)
