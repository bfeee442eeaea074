import re
import shutil
from xml.etree import ElementTree

import matplotlib as mpl
import pytest
from PIL import Image
from playwright.sync_api import sync_playwright

from tests.tune_jobs.analysis.comparisons import CIFAR10, make_comparison, with_learning_curves
from tune_jobs.analysis.report.html import (
    DRAWING,
    SECTIONS,
    inline,
    pictures,
    svg,
    write_report,
)
from tune_jobs.analysis.report.markdown import plain
from tune_jobs.analysis.report.page import with_options
from tune_jobs.analysis.report.sections import scores
from tune_jobs.analysis.report.summary import answers, cards
from tune_jobs.run_folder.folder import RunFolder

NASTY = ("<script>document.title='run'</script>", "$x_1$ and $", "a|b *c* _d_", '"quoted" & co',
         "x" * 120)  # fmt: skip
CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def comparison():
    made = make_comparison(
        models=(("cnn", "none", 0.9, 0), ("resnet18", "default", 0.7, 0),
                ("densenet121", "none", 0.9, 4)),
        classes=NASTY + CIFAR10[:5],
        names=('a&b "<i>c</i>"', "fine$tune$"),
        seeds=3,
        trials=True,
        robustness=True, attribution=(0.2, False),
    )  # fmt: skip
    return with_learning_curves(made, [(0.05, 0.7), (0.1, 0.25)])


@pytest.fixture(scope="module")
def written(comparison, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    write_report(comparison, RunFolder.at(folder))
    return folder


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("needs Chromium (Debian's package chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_page_opens_without_an_error_and_fits_the_screen(width, scheme, written, browser):
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    errors = []
    page.on("console", lambda message: errors.append(message.text))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: errors.append(request.url)
            if not request.url.startswith(("file:", "data:")) else None)  # fmt: skip
    page.goto((written / "report.html").as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    cut = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth)"
    assert page.evaluate(f"{cut}.map(each => each.ariaLabel)") == []
    assert page.evaluate(
        "[...document.images].filter(each => !each.complete || !each.naturalWidth).length"
    ) == 0  # fmt: skip
    drawn = page.evaluate(
        "[...document.querySelectorAll('figure svg')].map(each => each.clientHeight)"
    )
    assert len(drawn) > 10
    assert min(drawn) > 40
    assert page.title() != "run"  # no class name is run as a script
    assert NASTY[0] in page.inner_text("body")
    ink, paper = page.evaluate(
        "['color', 'backgroundColor'].map(each => getComputedStyle(document.body)[each])"
    )
    dark = sum(map(int, re.findall(r"\d+", ink)[:3])) > sum(map(int, re.findall(r"\d+", paper)[:3]))
    assert dark == (scheme == "dark")
    assert errors == []
    page.close()


def test_links_lead_to_their_sections(written):
    page = (written / "report.html").read_text()
    anchors = re.findall(r'<a href="#([^"]+)"', page)
    assert len(anchors) == len(SECTIONS)
    assert sorted(anchors) == sorted(re.findall(r'<section id="([^"]+)"', page))
    assert "http:" not in page.replace("http://www.w3.org", "")
    assert not re.findall(r'(?:src|href)="(?!#|data:)', page)
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(set(ids)) == len(ids)  # of different drawings too


def test_every_figure_is_there_twice_and_described(comparison, written):
    sections = [section for make in SECTIONS if (section := make(comparison))]
    drawn = list(pictures(sections))
    assert len({picture.name for picture in drawn}) == len(drawn) > 10
    page, text = ((written / f"report.{end}").read_text() for end in ("html", "md"))
    for picture in drawn:
        assert len(picture.alt) > 20
        ElementTree.parse(written / "figures" / f"{picture.name}.svg")
        with Image.open(written / "figures" / f"{picture.name}.png") as image:
            assert image.width > 500
        assert f"(figures/{picture.name}.svg)" in text
    assert page.count('role="img"') == len(drawn) + 1  # and that of the summary
    assert page.count("aria-label=") >= len(drawn)


def test_the_same_figure_gives_the_same_file(comparison, written):
    with mpl.rc_context(DRAWING):
        (again, *_) = pictures([scores.section(comparison)])
        assert svg(again) == (written / "figures" / f"{again.name}.svg").read_text()


def test_no_name_is_markup(written):
    page, text = ((written / f"report.{end}").read_text() for end in ("html", "md"))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "<script" not in text.replace("\\<script", "")
    assert plain(NASTY[2]) == r"a\|b \*c\* \_d\_"
    rows = [line for line in text.splitlines() if line.startswith("|") and "quoted" in line]
    # The bars of a name split no cell.
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} <= {5, 6, 7, 8}


def test_drawings_take_the_colours_of_the_page():
    drawing = inline('<?xml?><svg><g style="fill: #ffffff; stroke: #000000"/></svg>', 5)
    group = '<g style="fill: var(--paper); stroke: currentColor"/>'
    assert str(drawing) == f'<svg style="min-width: 300px; max-width: 550px">{group}</svg>'


def test_options_are_code_also_in_parentheses():
    code = "<code>--{}</code>"
    text = with_options("at (--margin: 1) or with --seeds 3, not a--b")
    assert text == f"at ({code.format('margin')}: 1) or with {code.format('seeds')} 3, not a--b"


def test_the_first_screen_says_which_how_good_and_at_what_cost(comparison):
    table = answers(comparison)
    assert [row[0] for row in table.rows] == [c.name for c in comparison.contestants]
    assert [row[-1] for row in table.rows] == ["chosen", "worse", "undecided"]
    which, sure, cost, effort = cards(comparison)
    assert which.value == "custom CNN"
    assert "32 px" in which.notes
    assert sure.value == "+20.00 points: better"
    assert sure.notes[-1] == "runner-up: ResNet18, ImageNet weights, 224 px"
    assert cost.value == "1 ms per image"
    assert effort.table.rows == [
        ("custom CNN", "2", "3", "60 s", "32 px"), ("ResNet18", "2", "3", "60 s", "224 px"),
    ]  # fmt: skip
