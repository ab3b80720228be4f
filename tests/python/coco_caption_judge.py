"""What coco-caption (pycocoevalcap, which runs Stanford's tokeniser in Java) says of captions.

    python tests/python/coco_caption_judge.py IMAGES SEED OUTPUT.json     # records what test_eval_captions.py compares with
"""
import contextlib
import io
import json
import sys

import adversarial_captions


def judge(references, results):
    """{"tokenized": {id: {"caption", "references"}}, "metrics": {…}, "by_image": {…}}"""
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer
    truth = {image["id"]: [] for image in references["images"]}
    for annotation in references["annotations"]:
        truth[annotation["image_id"]].append(annotation)
    said = {result["image_id"]: [result] for result in results}
    said = {image: said[image] for image in truth}
    truth, said = PTBTokenizer().tokenize(truth), PTBTokenizer().tokenize(said)
    with contextlib.redirect_stdout(io.StringIO()):
        bleu, bleus = Bleu(4).compute_score(truth, said)
        cider, ciders = Cider().compute_score(truth, said)
        rouge, rouges = Rouge().compute_score(truth, said)
    metrics = {f"bleu_{n + 1}": float(value) for n, value in enumerate(bleu)} | {"cider": float(cider), "rouge_l": float(rouge)}
    tokenized = {str(image): {"caption": said[image][0], "references": truth[image]} for image in truth}
    return {"tokenized": tokenized, "metrics": metrics}


def main():
    images, seed, output = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    references, results = adversarial_captions.make(images, seed)
    recorded = {"references": references, "results": results} | judge(references, results)
    with open(output, "w") as stream:
        json.dump(recorded, stream, ensure_ascii=False, separators=(",", ":"))
        stream.write("\n")


if __name__ == "__main__":
    main()
