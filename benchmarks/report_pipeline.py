"""The training pipeline of the student report's notebook: the baseline of our benchmarks.

Each sample is a PIL image that passes through ToTensor and Normalize in a DataLoader with two
workers. Training uses batches of 64, fp32 and all cores, with one learning rate after the other.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from trainables.data import Images, Ints, TrainingData


class PILDataset(Dataset[tuple[torch.Tensor, int]]):
    """Dataset like torchvision's CIFAR10: each sample becomes a PIL image and is transformed.

    Args:
        images: N×H×W×3, uint8.
        labels: N.
    """

    def __init__(self, images: Images, labels: Ints):
        self.images, self.labels = images, labels
        self.transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))]
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.images[i])), int(self.labels[i])


class ReportCNN(nn.Module):
    """The notebook's SimpleCNN, with its softmax output."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, 5, stride=1, padding=2, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 64, 5, stride=1, padding=2, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.conv3 = nn.Conv2d(64, 128, 5, stride=1, padding=2, bias=False)
        self.bn3 = nn.BatchNorm2d(128)
        self.pool = nn.MaxPool2d(2, 2)
        self.relu = nn.ReLU()
        self.fc1 = nn.Linear(128 * 4 * 4, 64)
        self.dropout = nn.Dropout(0.5)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return probabilities (B×10) of images (B×3×32×32)."""
        x = self.pool(self.relu(self.bn1(self.conv1(x))))
        x = self.pool(self.relu(self.bn2(self.conv2(x))))
        x = self.pool(self.relu(self.bn3(self.conv3(x))))
        x = self.dropout(self.relu(self.fc1(torch.flatten(x, 1))))
        return torch.softmax(self.fc2(x), dim=1)


def evaluate(
    model: nn.Module, loader: DataLoader[tuple[torch.Tensor, int]], device: str = "cpu"
) -> int:
    """Return the number of correctly classified images."""
    model.eval()
    correct = 0
    with torch.no_grad():
        for images, labels in loader:
            images, labels = images.to(device), labels.to(device)
            correct += int((model(images).argmax(1) == labels).sum())
    return correct


def train(
    data: TrainingData,
    lr: float,
    epochs: int,
    model: nn.Module | None = None,
    device: str = "cpu",
) -> Iterator[dict[str, float]]:
    """Train a model, by default the notebook's CNN, with one learning rate.

    Yields:
        After each epoch: `epoch`, `val_accuracy`, and `seconds` since the start.
    """
    loaders = [
        DataLoader(PILDataset(images.read(), labels), batch_size=64, shuffle=shuffle, num_workers=2)
        for images, labels, shuffle in (
            (data.train_images, data.train_labels, True),
            (data.val_images, data.val_labels, False),
        )
    ]
    model = (model or ReportCNN()).to(device)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    start = time.perf_counter()
    for epoch in range(1, epochs + 1):
        model.train()
        for images, labels in loaders[0]:
            images, labels = images.to(device), labels.to(device)
            optimizer.zero_grad()
            loss = criterion(model(images), labels)
            loss.backward()
            optimizer.step()
        yield {
            "epoch": epoch,
            "val_accuracy": evaluate(model, loaders[1], device) / len(data.val_labels),
            "seconds": time.perf_counter() - start,
        }
