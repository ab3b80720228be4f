"""Fifty steps from PEFT's own start: the program's loss curve is that of a careful user of PEFT and torch."""
import json

import peft
import torch

import program
import tiny_models

STEPS, BATCH, RATE = 50, 4, 3e-3
SENTENCES = tiny_models.sentences()
ROWS = [(SENTENCES[7 * i], SENTENCES[(31 * i + 5) % len(SENTENCES)]) for i in range(64)]


def padded(batch, value, of):
    width = max(len(example.ids) for example in batch)
    return torch.tensor([of(example) + [value] * (width - len(example.ids)) for example in batch])


def losses_of_peft(wrapped, examples):
    optimizer = torch.optim.AdamW([w for w in wrapped.parameters() if w.requires_grad], lr=RATE, weight_decay=0.01)
    losses = []
    for step in range(STEPS):
        first = step * BATCH % len(examples)
        batch = examples[first:first + BATCH]
        loss = wrapped(input_ids=padded(batch, 0, lambda e: e.ids), attention_mask=padded(batch, 0, lambda e: [1] * len(e.ids)),
                       labels=padded(batch, -100, lambda e: [i if l else -100 for i, l in zip(e.ids, e.labelled)])).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(wrapped.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def test_the_loss_curve_of_lora_is_pefts(tmp_path, model_factory):
    model = model_factory()
    torch.manual_seed(3)
    wrapped = peft.get_peft_model(tiny_models.judge(model), peft.LoraConfig(
        task_type="CAUSAL_LM", r=8, lora_alpha=16, target_modules="all-linear"))
    wrapped.save_pretrained(tmp_path / "start")
    expected = losses_of_peft(wrapped.train(), tiny_models.instruction_examples(model, ROWS))
    (tmp_path / "data.json").write_text(json.dumps([{"instruction": asked, "output": answer} for asked, answer in ROWS]))
    run = program.train(tmp_path, {
        "model": {"path": str(model)}, "method": {"adapter_path": str(tmp_path / "start")},
        "data": {"train": [{"path": "data.json"}], "prompt_template": "plain", "shuffle": False},
        "train": {"max_steps": STEPS, "micro_batch_size": BATCH, "learning_rate": RATE, "lr_scheduler_type": "constant", "warmup_ratio": 0,
                  "weight_decay": 0.01, "max_grad_norm": 1.0}})
    losses = [row["loss"] for row in program.step_metrics(run)]
    assert losses[-1] < 0.9 * losses[0]
    for actual, loss in zip(losses, expected, strict=True):
        program.assert_close(actual, loss, 1e-3, "losses over fifty steps")
