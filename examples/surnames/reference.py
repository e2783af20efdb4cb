"""Which language does a surname come from? The same job in PyTorch: python3 reference.py [SEED]"""

import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.utils.data import DataLoader, random_split

torch.manual_seed(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
files = sorted((Path(__file__).parent / "names").glob("*.txt"))
languages = [file.stem for file in files]
names = [
    (name.strip(), language)
    for language, file in enumerate(files)
    for name in file.read_text(encoding="utf8").strip().split("\n")
]
letters = sorted(set("".join(name for name, _ in names)))
ids = {letter: i for i, letter in enumerate(letters)}
examples = [(torch.tensor([ids[letter] for letter in name]), language) for name, language in names]
test_size = int(0.15 * len(examples))
train, test = random_split(examples, [len(examples) - test_size, test_size])


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(len(letters), 32)
        self.lstm = nn.LSTM(32, 128)
        self.head = nn.Linear(128, len(languages))

    def forward(self, xs, lengths):
        packed = pack_padded_sequence(self.embedding(xs), lengths, enforce_sorted=False)
        _, (h, _) = self.lstm(packed)
        return self.head(h[-1])


def collate(batch):
    names, languages = zip(*batch)
    lengths = torch.tensor([len(name) for name in names])
    return pad_sequence(names), torch.tensor(languages), lengths


model = Classifier()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
losses = []
for epoch in range(8):
    for xs, ys, lengths in DataLoader(train, batch_size=64, shuffle=True, collate_fn=collate):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(xs, lengths), ys)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1)
        optimizer.step()
        losses.append(loss.item())

model.eval()
confusion = torch.zeros(len(languages), len(languages))
with torch.no_grad():
    for xs, ys, lengths in DataLoader(test, batch_size=256, collate_fn=collate):
        for language, guess in zip(ys, model(xs, lengths).argmax(1)):
            confusion[language, guess] += 1
print(f"{100 * confusion.trace() / confusion.sum():.1f} % of the names it has not seen")
