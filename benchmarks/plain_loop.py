"""The loop that training.fit is compared with: distillation as tutorials write it, with nothing done badly on purpose.

DataLoader over a TensorDataset (shuffled, in this process: its workers cost more than they bring for images this
small), the teacher in eval mode without gradients on every batch, Adam as it comes, default memory format, the running
loss read every step. It imports nothing from engine.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset


def train(student: nn.Module, teacher: nn.Module, inputs: Tensor, labels: Tensor, epochs: int, batch_size: int,
          learning_rate: float, temperature: float, weight: float) -> list[float]:  # fmt: skip
    """Train ``student`` in place; the mean loss of each epoch."""
    loader = DataLoader(TensorDataset(inputs, labels), batch_size=batch_size, shuffle=True)
    optimizer = torch.optim.Adam(student.parameters(), lr=learning_rate)
    student.train()
    teacher.eval()
    losses = []
    for _ in range(epochs):
        running = 0.0
        for images, targets in loader:
            optimizer.zero_grad()
            logits = student(images)
            with torch.no_grad():
                teacher_logits = teacher(images)
            hard = F.cross_entropy(logits, targets)
            soft = F.kl_div(
                F.log_softmax(logits / temperature, dim=1),
                F.softmax(teacher_logits / temperature, dim=1),
                reduction="batchmean",
            )
            loss = (1 - weight) * hard + weight * temperature**2 * soft
            loss.backward()
            optimizer.step()
            running += loss.item()
        losses.append(running / len(loader))
    return losses
