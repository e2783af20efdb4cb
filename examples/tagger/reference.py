"""Parts of speech by an LSTM that reads in both directions: the same job in PyTorch: python3 reference.py [SEED]"""

import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torch.utils.data import DataLoader, random_split

seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
lines = (Path(__file__).parent / "sentences.txt").read_text().strip().split("\n")
sentences = [[token.split("/") for token in line.split(" ")] for line in lines]


class Tagger(nn.Module):
    def __init__(self, words, tags, bidirectional):
        super().__init__()
        self.embedding = nn.Embedding(words, 16)
        self.lstm = nn.LSTM(16, 32, bidirectional=bidirectional)
        self.head = nn.Linear(64 if bidirectional else 32, tags)

    def forward(self, xs, lengths):
        packed = pack_padded_sequence(self.embedding(xs), lengths, enforce_sorted=False)
        ys, _ = pad_packed_sequence(self.lstm(packed)[0])
        return self.head(ys)


def collate(batch):
    xs, ys = zip(*batch)
    lengths = torch.tensor([len(x) for x in xs])
    return pad_sequence(xs), pad_sequence(ys, padding_value=-100), lengths


def run(bidirectional=True):
    torch.manual_seed(seed)
    train, test = random_split(sentences, [1600, 400])
    words = {word: i for i, word in enumerate(sorted({word for sentence in train for word, _ in sentence}), start=2)}
    tags = {tag: i for i, tag in enumerate(sorted({tag for sentence in train for _, tag in sentence}))}

    def encode(sentence):
        xs = torch.tensor([words.get(word, 1) for word, _ in sentence])
        return xs, torch.tensor([tags[tag] for _, tag in sentence])

    model = Tagger(len(words) + 2, len(tags), bidirectional)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    examples = [encode(sentence) for sentence in train]
    for epoch in range(10):
        for xs, ys, lengths in DataLoader(examples, batch_size=32, shuffle=True, collate_fn=collate):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(xs, lengths).flatten(0, 1), ys.flatten())
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1)
            optimizer.step()
    correct = total = 0
    with torch.no_grad():
        for xs, ys, lengths in DataLoader([encode(sentence) for sentence in test], batch_size=100, collate_fn=collate):
            real = ys != -100
            correct += (model(xs, lengths).argmax(2) == ys)[real].sum().item()
            total += real.sum().item()
    return correct / total


print(f"{100 * run():.2f} % of the tags; reading forwards only, {100 * run(bidirectional=False):.2f} %")
