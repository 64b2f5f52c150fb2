"""A loss and a sampler in the Hugging Face Trainer: a small transformer that looks for rare messages.

The messages are made up: token 7 followed later by token 9 makes one positive, 4 in 100. The Trainer takes a loss
as ``compute_loss_func``; the sampler needs one overridden method. Runs in about 20 seconds on one core:
python examples/hf_trainer.py
"""

import tempfile

import torch
from torch.utils.data import Dataset
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments
from transformers.utils import logging

from metabalance.counts import class_counts
from metabalance.loss import LogitAdjustedLoss
from metabalance.sample import ClassBalancedSampler

logging.set_verbosity_error()


def messages(size: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids ``(size, 12)`` and whether a 7 is followed by a 9."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(10, 40, (size, 12), generator=generator)
    for row in torch.nonzero(torch.rand(size, generator=generator) < 0.04).flatten():
        first, second = torch.randperm(12, generator=generator)[:2].sort().values
        tokens[row, first], tokens[row, second] = 7, 9
    tokens[torch.rand(size, generator=generator) < 0.1, 0] = 9  # a 9 alone means nothing
    seen = (tokens == 7).cumsum(1) > 0
    return tokens, (seen & (tokens == 9)).any(1).long()


class Messages(Dataset):
    def __init__(self, size: int, seed: int) -> None:
        self.tokens, self.labels = messages(size, seed)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self.tokens[i], "labels": self.labels[i]}


class BalancedTrainer(Trainer):
    """A Trainer whose batches hold all classes in equal shares."""

    def _get_train_sampler(self, train_dataset: Messages | None = None) -> ClassBalancedSampler:
        return ClassBalancedSampler((train_dataset or self.train_dataset).labels, mode="random")


train, test = Messages(2000, seed=0), Messages(1000, seed=1)
adjusted = LogitAdjustedLoss(class_counts(train.labels))
methods = {
    "cross-entropy": (Trainer, None),
    "logit-adjusted": (Trainer, lambda outputs, labels, **_: adjusted(outputs["logits"], labels)),
    "balanced batches": (BalancedTrainer, None),
}
print(f"{int(train.labels.sum())} of {len(train)} messages are positive\n{'method':18} recall  precision")
for name, (kind, loss) in methods.items():
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=40, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=12, num_labels=2,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, max_steps=250, per_device_train_batch_size=64, per_device_eval_batch_size=250,
            learning_rate=5e-3, report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True,
            use_cpu=True, dataloader_pin_memory=False,
        )  # fmt: skip
        trainer = kind(
            BertForSequenceClassification(config), arguments, train_dataset=train, compute_loss_func=loss
        )
        trainer.train()
        decided = torch.from_numpy(trainer.predict(test).predictions).argmax(1)
    hits = int((decided * test.labels).sum())
    print(f"{name:18} {hits / int(test.labels.sum()):.2f}    {hits / max(int(decided.sum()), 1):.2f}")
