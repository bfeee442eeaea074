"""The check of a source: each fault is found, says what mends it, and decides the exit code."""

import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import sync_playwright

from tests.tune_jobs.conftest import command_line
from tune_jobs.check_data import check_data

run = command_line(check_data)
CHROMIUM = shutil.which("chromium")
EACH = 24
"""Images of each class, of which 15 are training images."""


def picture(number, size=(60, 60)):
    """A picture that is like no other."""
    coarse = np.random.default_rng(number).integers(0, 256, (5, 5, 3), np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def save(image, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def write_classes(folder, each=EACH, names=("cat", "dog"), first=0, suffix="png"):
    for i, name in enumerate(names):
        for k in range(each):
            save(picture(first + 1000 * i + k), folder / name / f"{k}.{suffix}")
    return folder


@pytest.fixture
def photos(tmp_path):
    """A source with nothing wrong with it: classes of 40 images."""
    return write_classes(tmp_path / "photos", 40)


@pytest.fixture
def parts(tmp_path):
    """The same in parts."""
    for i, part in enumerate(("train", "validation", "test")):
        write_classes(tmp_path / "parts" / part, 25, first=100 * i)
    return tmp_path / "parts"


@pytest.fixture
def check(tmp_path, capfd):
    """Check a source; returns the exit code, what was printed, and the text of the page."""

    def checked(*arguments):
        page = tmp_path / "pages" / "page.html"
        page.unlink(missing_ok=True)
        capfd.readouterr()
        code = run(*arguments, "--output", page)
        printed = capfd.readouterr()
        assert "Traceback" not in printed.err
        text = " ".join((printed.out + printed.err).split())
        return code, text, page.read_text() if page.exists() else ""

    return checked


def test_nothing_is_found_in_a_good_source(photos, check):
    code, printed, page = check(photos)
    assert code == 0
    assert "80 images in 2 classes" in printed
    assert "Nothing found" in printed
    assert "page.html" in printed.split("Page:")[1]
    assert re.findall(r'class="callout (\w+)"', page) == []
    # Twelve training images of each class, whose splits are those of the table.
    assert page.count("<img src") == 24
    assert re.search(r"cat 24 8 8 50\.0%", printed)


def copy_across_parts(parts):
    shutil.copy(parts / "train/cat/3.png", parts / "test/cat/extra.png")


def saved_again_across_parts(parts):
    with Image.open(parts / "train/dog/4.png") as image:
        save(image.resize((50, 50)), parts / "validation/dog/extra.jpg", quality=80)


def two_labels(parts):
    shutil.copy(parts / "train/cat/3.png", parts / "train/dog/extra.png")


def damaged(parts):
    path = parts / "train/cat/3.png"
    path.write_bytes(path.read_bytes()[:900])


def class_missing(parts):
    shutil.rmtree(parts / "test/dog")


COPIED = "Validation or test images that are copies of images in an earlier split: 1"


@pytest.mark.parametrize(
    ("spoil", "title", "names", "mended_by"),
    [
        (copy_across_parts, COPIED,
         ["train, cat: train/cat/3.png", "test, cat: test/cat/extra.png"],
         ["--duplicates", "drop"]),
        (saved_again_across_parts, COPIED,
         ["train, dog: train/dog/4.png", "validation, dog: validation/dog/extra.jpg"],
         ["--duplicates", "drop"]),
        (two_labels, "2 images (1.32%) show a picture that also stands under another label",
         ["train, cat: train/cat/3.png", "train, dog: train/dog/extra.png"],
         ["--duplicates", "drop"]),
        (damaged, "1 of 150 images are damaged", ["train/cat/3.png (trunc"], ["--skip-bad"]),
        (class_missing, "Classes without images in a split: 1 of 2", ["dog: none in test"],
         ["--split", "0.6", "0.2", "0.2", "--min-per-class", "5"]),
    ],
)  # fmt: skip
def test_what_makes_a_comparison_wrong_is_an_error_until_it_is_mended(
    spoil, title, names, mended_by, parts, check
):
    assert check(parts)[0] == 0
    spoil(parts)
    code, printed, page = check(parts)
    assert code == 1
    for text in (f"error {title}", mended_by[0], "would be wrong", *names):
        assert text in printed
    assert 'class="callout error"' in page
    assert f"<code>{mended_by[0]}</code>" in page
    assert title in page
    assert names[0] in page
    assert check(parts, *mended_by)[0] == 0


def test_a_contradiction_that_hardly_moves_a_score_needs_care_and_no_more(parts, check):
    write_classes(parts / "train", 200, names=["cat", "dog"], first=20_000)
    two_labels(parts)
    code, printed, _ = check(parts)
    assert code == 0
    assert "warning 2 images (0.40%) show a picture that also stands under" in printed
    assert "needs care" in printed


def test_groups_in_several_parts_are_an_error(parts, check):
    code, printed, page = check(parts, "--group-by", r"(\d+)\.png")
    assert code == 1
    assert "25 of 25 groups have images in several splits" in printed
    assert "17: train, validation and test" in printed
    assert "and 5 more" in page


def test_images_that_cannot_be_split_are_an_error(photos, check):
    write_classes(photos, 3, names=["bird"], first=7000)
    code, printed, page = check(photos)
    assert code == 1
    assert "cannot be split" in printed
    assert "'bird'" in printed
    assert "bird (3)" in printed  # a tiny class
    assert "cannot be split" in page
    assert check(photos, "--min-per-class", "20")[0] == 0


def test_one_class_is_an_error(tmp_path, check):
    code, printed, _ = check(write_classes(tmp_path / "one", names=["cat"]))
    assert code == 1
    assert "has one class, 'cat'" in printed


def test_no_image_may_be_left(tmp_path, check):
    for name in ("cat", "dog"):
        save(picture(1), tmp_path / "all" / name / "1.png")
    code, printed, _ = check(tmp_path / "all", "--duplicates", "drop")
    assert code == 1
    assert "correct the labels" in printed


def blank(photos):
    save(Image.new("RGB", (60, 60), (7, 90, 30)), photos / "cat/0.png")
    return ["warning 1 image blank", ", cat: cat/0.png"]


def tiny_image(photos):
    save(picture(9999, (14, 60)), photos / "cat/0.png")
    return ["less than a quarter as large as the median of 60 pixels", "cat/0.png"]


def long_image(photos):
    save(picture(9999, (130, 60)), photos / "cat/0.png")
    return ["note Cropping cuts off 0% of the median image, and more than half of 1 image"]


def lying(photos):
    exif = Image.Exif()
    exif[0x0112] = 6
    save(picture(9999), photos / "cat/0.jpg", exif=exif)
    return ["note 1 image stored lying or mirrored"]


def see_through(photos):
    image = picture(9999).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    save(image, photos / "cat/0.png")
    return ["note 1 image with transparency", "become white", "--background"]


def deep(photos):
    values = np.asarray(picture(9999).convert("L").resize((60, 60))).astype(np.uint16) * 16
    for k in range(40):  # every file, as the headers of some are read first
        save(Image.fromarray(np.roll(values, 31 * k, axis=(0, 1))), photos / f"cat/{k}.png")
    return ["40 images with 16 bits per pixel: 4,095 is read as white",
            "File format and mode alone tell the class of 100%"]  # fmt: skip


def litter(photos):
    (photos / "notes.txt").write_text("of no use")
    (photos / "cat/.DS_Store").write_text("of no use")
    return ["note 2 files of the source ignored", "1 .txt"]


def unequal(photos):
    for k in range(40, 120):
        save(picture(k), photos / f"cat/{k}.png")
    return ["warning Classes are unequal: cat holds 75.0%", "scores 75.0% accuracy",
            "--metric balanced_accuracy", "--class-weights balanced"]  # fmt: skip


@pytest.mark.parametrize(
    "change", [blank, tiny_image, long_image, lying, see_through, deep, litter, unequal]
)
def test_what_needs_care_is_said_and_is_no_error(change, photos, check):
    texts = change(photos)
    code, printed, page = check(photos)
    assert code == 0
    for text in texts:
        assert text in printed
    assert re.findall(r'class="callout (\w+)"', page)


def test_the_worst_finding_comes_first(parts, check):
    litter(parts / "train")
    blank(parts / "train")
    two_labels(parts)
    _, printed, page = check(parts)
    levels = re.findall(r'class="callout (\w+)"', page)
    order = ["error", "warning", "note"]
    assert set(levels) == set(order)
    assert levels == sorted(levels, key=order.index)
    assert printed.index("error 2 images") < printed.index("warning 1 image")


def test_damaged_images_beyond_twenty_are_counted(photos, check):
    for k in range(23):
        (photos / f"dog/{k}.png").write_bytes(b"<html>not found</html>")
    code, printed, page = check(photos)
    assert code == 1
    assert printed.count("(HTML page)") == 20
    assert "and 3 more" in printed
    assert page.count("(HTML page)") == 20


def test_without_a_cache_the_same_is_found(parts, check):
    two_labels(parts)
    assert check(parts, "--cache-gb", "0")[1] == check(parts)[1]


def test_many_classes_give_a_page_that_is_not_large(tmp_path, check):
    names = [f"class {i:03}" for i in range(320)]
    source = write_classes(tmp_path / "many", 5, names, suffix="jpg")
    _, printed, page = check(source)
    assert "300 smaller classes" in printed
    assert "The first 300 of 320 classes" in page
    assert "The 20 largest and the 20 smallest of 320 classes" in page
    assert page.count("<img src") <= 1200


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{tmp}/nothing"], ["nothing", "check the spelling"]),
        (["{photos}", "--data", "digits"], ["two sources"]),
        (["{photos}", "--output", "{tmp}/page.txt"], ["page.txt", "must end in .html"]),
        (["{photos}", "--output", "{tmp}/mine.html"], ["mine.html", "no page of this job"]),
        (["{photos}", "--split", "0.5", "0.5", "0.5"], ["sum to 1"]),
        (["{photos}", "--split-seed", "-1"], ["--split-seed is -1"]),
        (["{photos}", "--background", "whitish"], ["whitish", "not a colour"]),
        (["{photos}", "--group-by", "("], ["no regular expression"]),
        (["{empty}"], ["empty", "no images"]),
        (["{damaged}"], ["all 2 images", "damaged", "HTML page"]),
    ],
)
def test_unusable_input_is_one_message(arguments, words, photos, tmp_path, assert_one_message):
    (tmp_path / "mine.html").write_text("<html>my own</html>")
    (tmp_path / "empty").mkdir()
    for name in ("cat", "dog"):
        (tmp_path / "damaged" / name).mkdir(parents=True)
        (tmp_path / "damaged" / name / "1.jpg").write_text("<html>not found</html>")
    places = {"photos": photos, "tmp": tmp_path}
    places |= {name: tmp_path / name for name in ("empty", "damaged")}
    given = [word.format(**places) for word in arguments]
    if "--output" not in given:
        given += ["--output", str(tmp_path / "page.html")]
    assert run(*given) == 2
    assert_one_message(words)
    assert (tmp_path / "mine.html").read_text() == "<html>my own</html>"


def test_an_earlier_page_is_replaced(photos, tmp_path):
    page = tmp_path / "page.html"
    assert run(photos, "--output", page) == 0
    before = page.read_text()
    two_labels_in = photos / "dog/extra.png"
    shutil.copy(photos / "cat/1.png", two_labels_in)
    assert run("--data", photos, "--output", page) == 1
    assert page.read_text() != before
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian's package chromium)")
@pytest.mark.parametrize("width", [1200, 400])
def test_the_page_opens_in_a_browser_and_asks_for_no_other_file(width, parts, tmp_path):
    for part in parts.iterdir():
        (part / "cat").rename(part / "<script>document.title='run'<!--script>")
    two_labels_of = parts / "train/dog/extra.png"
    shutil.copy(next((parts / "train").glob("*script>/3.png")), two_labels_of)
    save(picture(9999, (130, 60)), parts / "validation/dog/long.png")
    run(parts, "--output", tmp_path / "page.html")
    errors = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.on("console", lambda message: errors.append(message.text))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: errors.append(request.url)
                if not request.url.startswith(("file:", "data:")) else None)  # fmt: skip
        page.goto((tmp_path / "page.html").as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        broken = "[...document.images].filter(each => !each.complete || !each.naturalWidth).length"
        assert page.evaluate(broken) == 0
        assert page.evaluate("document.images.length") > 20
        assert page.title() != "run"
        assert "<script>" in page.inner_text("body")
        browser.close()
    assert errors == []


def test_neither_ray_nor_torch_is_started(photos, tmp_path):
    code = (
        "import sys; from tune_jobs.data_check import job; "
        "from tune_jobs.data_check.options import CheckOptions; "
        "from tune_jobs.command_line.parser import CommandLine; "
        "options = CheckOptions(data=sys.argv[1], output=sys.argv[2]); "
        "job.run(CommandLine(options, ('check_data.py',), 0.0)); "
        "print('imported:', *{'ray', 'torch'} & set(sys.modules))"
    )
    arguments = [sys.executable, "-c", code, str(photos), str(tmp_path / "page.html")]
    result = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "imported:"
