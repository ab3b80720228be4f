"""report.html: written by the trainer, made again by `excitor report`, and opened in a real browser."""
import html.parser
import json
import re
import signal

import PIL.Image
import pytest

import browser
import integration_support as support
from integration_support import configuration, write_run
from program import run_excitor

PROMPTS = ["What <b>colour</b> & shape?", "Second \"prompt\" </script><script>alert(1)</script>"]

needs_browser = pytest.mark.skipif(not browser.CHROMIUM, reason="Chromium is not installed (apt-get install chromium)")


@pytest.fixture(scope="module")
def run(tmp_path_factory, tokenizer_file):
    folder = tmp_path_factory.mktemp("report")
    model = support.write_model(folder / "model", tokenizer_file)
    held_out = folder / "held_out.txt"
    held_out.write_text("a small text that nobody trains on\n\nand another one\n")
    settings = configuration(model)
    settings["method"] = {"type": "excitor", "adapter_layers": 2, "adapter_len": 4, "r": 4}
    settings["data"] |= {"val_size": 1}
    settings["train"] |= {"max_steps": 6}
    settings["eval"] = {"eval_steps": 2, "forgetting": {"path": str(held_out)}, "sample_prompts": PROMPTS,
                        "sample_max_new_tokens": 4}
    run_excitor("train", write_run(folder, settings))
    return folder / "run"


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page.read_text(encoding="utf-8"), re.DOTALL)[1])


def events(run, kind):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if row["event"] == kind]


class Page(html.parser.HTMLParser):
    """Counts the elements of a document, and gathers the text outside of scripts."""

    def __init__(self, text):
        super().__init__()
        self.count, self.paths, self.text, self.inside = {}, [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.inside = tag
        self.count[tag] = self.count.get(tag, 0) + 1
        if tag == "path":
            self.paths.append(dict(attributes).get("d", ""))

    def handle_data(self, data):
        if self.inside not in ("script", "style"):
            self.text.append(data)


def test_holds_what_was_recorded(run):
    data = data_of(run / "report.html")
    steps = events(run, "step")
    assert data["curves"]["loss"]["step"] == [row["step"] for row in steps]
    assert data["curves"]["loss"]["mean"] == pytest.approx([row["loss"] for row in steps], rel=1e-5)
    assert [e["step"] for e in data["health"]] == [row["step"] for row in events(run, "health")]
    assert data["evaluations"]["kl"]["step"] == [row["step"] for row in events(run, "eval")]
    assert data["samples"][-1]["samples"] == events(run, "eval")[-1]["samples"]
    assert data["config"] == json.loads((run / "config.json").read_text())
    assert data["end"]["step"] == 6


def test_is_made_again_from_the_files(run, tmp_path):
    done = run_excitor("report", run, "--output", tmp_path / "again.html")
    assert done.stdout == f"{tmp_path / 'again.html'}\n"
    assert (tmp_path / "again.html").read_bytes() == (run / "report.html").read_bytes()


def test_names_nothing_on_the_network(run):
    page = (run / "report.html").read_text()
    assert "default-src 'none'" in page
    assert set(re.findall(r"https?://[^\"'<> ]+", page)) <= {"http://www.w3.org/2000/svg"}


def test_refuses_what_is_no_run(tmp_path):
    done = run_excitor("report", tmp_path, check=False)
    assert done.returncode == 1 and "expected the output_dir of a run" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_cant_be_written_is_a_warning(tmp_path, tokenizer_file):
    model = support.write_model(tmp_path / "model", tokenizer_file)
    (tmp_path / "run" / "report.html").mkdir(parents=True)  # in its way
    done = run_excitor("train", write_run(tmp_path, configuration(model)))
    assert "report.html is not up to date" in done.stderr
    assert (tmp_path / "run" / "adapter").is_dir()


def test_an_interrupted_run_has_a_page(tmp_path, tokenizer_file):
    settings = configuration(support.write_model(tmp_path / "model", tokenizer_file))
    settings["train"] |= {"max_steps": 100_000}
    settings["eval"] = {"eval_steps": 100_000}
    process = support.start("train", write_run(tmp_path, settings))
    support.wait_for_step(process, tmp_path / "run", 5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 143
    data = data_of(tmp_path / "run" / "report.html")
    assert data["end"] is None and data["last_step"] == events(tmp_path / "run", "step")[-1]["step"] >= 5


@needs_browser
def test_draws_everything_without_a_word_on_the_console(run):
    document, console = browser.dump(run / "report.html")
    assert console == []
    page = Page(document)
    text = " ".join(page.text)
    for words in ("Loss", "Learning rate", "Gradient norm", "Forgetting", "KL(base", "Gates", "Moved attention", "Tokens a second",
                  "Peak memory", "Samples", "Settings", "adapter_layers", "finished, 6 steps", *PROMPTS):
        assert words in text
    for sample in events(run, "eval")[-1]["samples"]:
        assert " ".join(sample["text"].split()) in " ".join(text.split())
    assert page.count["svg"] >= 9 and page.count["rect"] >= 4
    assert len(page.paths) >= 8 and all(re.fullmatch(r"(M|L|Z|[-0-9. ])+", path) for path in page.paths)
    assert "NaN" not in document.split('id="data"')[0]


ACTIONS = """<script>
const chart = document.querySelector(".chart svg"), place = chart.getBoundingClientRect();
chart.dispatchEvent(new PointerEvent("pointermove", {clientX: place.left + place.width / 2, clientY: place.top + 20}));
document.querySelector("button").click();
const slider = document.querySelector("input[type=range]");
slider.value = 0;
slider.dispatchEvent(new Event("input"));
</script></body>"""


@needs_browser
def test_pointer_slider_and_logarithm(run, tmp_path):
    page = tmp_path / "acted.html"
    page.write_text((run / "report.html").read_text(encoding="utf-8").replace("</body>", ACTIONS), encoding="utf-8")
    document, console = browser.dump(page)
    assert console == []
    assert 'aria-pressed="true"' in document
    assert re.search(r'Heads at</span><strong>step 0</strong>', document)
    assert all(re.fullmatch(r"(M|L|Z|[-0-9. ])+", path) for path in Page(document).paths)
    page.write_text(page.read_text(encoding="utf-8").replace('document.querySelector("button").click();', ""), encoding="utf-8")
    document, _ = browser.dump(page)
    assert re.search(r'<div class="tip" style="[^"]*"><div>step \d+</div><div>training loss: [0-9.]+</div>', document)


@needs_browser
@pytest.mark.parametrize("width", [1240, 500])
def test_is_not_blank_and_not_too_wide(run, tmp_path, width):
    browser.screenshot(run / "report.html", tmp_path / "page.png", width=width, height=1200)
    image = PIL.Image.open(tmp_path / "page.png").convert("RGB")
    assert image.size == (width, 1200)
    assert len(image.getcolors(maxcolors=1 << 24)) > 100
    background = image.getpixel((1, 1))
    assert all(image.getpixel((width - 2, y)) == background for y in range(0, 1200, 7))  # nothing runs out of the page
