"""Folders of bases as other programs leave them: transformers computes the same logits, or the words say what is amiss."""
import json
import shutil

import pytest
import safetensors.torch
import torch
import transformers

import program
import tiny_models
from program import assert_close, inspect_logits

TOLERANCE = 1e-5
IDS = tiny_models.random_ids(24)


@pytest.mark.parametrize("tied", [True, False], ids=["tied", "with a head"])
@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_a_folder_of_the_model_without_its_head_is_read(tmp_path, model_factory, tied, kind):
    model = model_factory(tie_word_embeddings=tied)
    expected = tiny_models.judge(model)
    transformers.LlamaModel.from_pretrained(model).save_pretrained(tmp_path / "inner")
    shutil.copy(model / "tokenizer.model", tmp_path / "inner")
    file = tmp_path / "inner" / "model.safetensors"
    tensors = safetensors.torch.load_file(file) | ({} if tied else {"lm_head.weight": expected.lm_head.weight.detach()})
    assert "embed_tokens.weight" in tensors
    if kind == "bin":
        file.unlink()
        torch.save(tensors, tmp_path / "inner" / "pytorch_model.bin")
    else:
        safetensors.torch.save_file(tensors, file, metadata={"format": "pt"})
    expected = tiny_models.judge_logits(expected, IDS)
    if kind == "safetensors":
        assert_close(tiny_models.judge_logits(tiny_models.judge(tmp_path / "inner"), IDS), expected, TOLERANCE)
    assert_close(inspect_logits(tmp_path / "inner", IDS, tmp_path / "logits.safetensors"), expected, TOLERANCE)
    fingerprints = [json.loads(program.run_excitor("inspect", "model", folder, "--json").stdout)["fingerprint"]
                    for folder in (model, tmp_path / "inner")]
    assert fingerprints[0] == fingerprints[1]


@pytest.mark.parametrize("same", [True, False], ids=["a copy", "another matrix"])
def test_a_head_beside_tied_embeddings_is_named_where_it_is_another(tmp_path, model_factory, same):
    folder = tmp_path / "model"
    shutil.copytree(model_factory(tie_word_embeddings=True), folder)
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    embedding = tensors["model.embed_tokens.weight"]
    safetensors.torch.save_file(tensors | {"lm_head.weight": embedding.clone() if same else embedding + 1}, folder / "model.safetensors",
                                metadata={"format": "pt"})
    done = program.run_excitor("inspect", "logits", folder, "--ids", "1,5", "--output", tmp_path / "logits.safetensors")
    assert ("tie_word_embeddings" in done.stderr) != same, done.stderr
