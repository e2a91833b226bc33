"""Pages as a user meets them, in a headless Chromium."""

from __future__ import annotations

import pytest

import seqlm_core as seqlm

HOSTILE = (
    'He said "</script><script>alert(1)</script>" & <img src=x onerror=alert(2)>.\n'
    "He\u0301llo \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 \u5168\u5510\u8a69 "
    "\U0001f469\u200d\U0001f680\n"
    + "".join(map(chr, range(1, 32)))
    + "\x7f\x85\u2028\u2029\u202edne\r\n]]>--><!-- {{ 7 * 7 }} ${x} \ufeff\n"
)
PHONE = {"viewport": {"width": 390, "height": 844}}
DARK = {"color_scheme": "dark"}


@pytest.fixture
def hostile(tmp_path):
    path = tmp_path / "hostile <b> & {{ 1 }}.txt"
    path.write_bytes(HOSTILE.encode())
    return path


@pytest.fixture
def inspected(two_sided_run, hostile, tmp_path):
    seqlm.write_inspection(two_sided_run.path, hostile, tmp_path / "page.html")
    return tmp_path / "page.html"


@pytest.fixture
def report(language_run, two_sided_run, tmp_path):
    commands = {str(language_run.path): "seqlm train '</script><script>alert(3)</script>'"}
    seqlm.write_report(language_run.path, two_sided_run.path, out=tmp_path / "report.html", commands=commands)
    return tmp_path / "report.html"


def violations(page):
    """Return what axe-core finds: contrast, names of controls, and so on."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    return [(found["id"], found["nodes"][0]["html"]) for found in axe.Axe().run(page).response["violations"]]


@pytest.mark.parametrize("context", [{}, PHONE, DARK])
def test_an_inspection_can_be_read_by_everybody(inspected, open_page, context):
    page = open_page(inspected, **context)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.parametrize("context", [{}, PHONE, DARK])
def test_a_report_can_be_read_by_everybody(report, open_page, context):
    page = open_page(report, **context)
    page.wait_for_selector("#loss .main-svg")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_no_text_can_script_a_page(inspected, open_page):
    page = open_page(inspected)  # a dialog would be a problem that the fixture finds
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 2
    shown = page.locator("#text0").inner_text()
    assert '"</script><script>alert(1)</script>"' in shown
    assert "{{ 7 * 7 }}" in shown
    assert "[001B]" in shown  # an escape character
    assert "[202E]dne" in shown  # it does not turn what follows it
    for text in ("He\u0301llo", "\u05e9\u05dc\u05d5\u05dd", "\u5168\u5510\u8a69"):
        assert text in shown


def test_a_letter_and_its_accent_are_one(inspected, open_page):
    page = open_page(inspected)
    cells = page.locator("#text0 [role=option]").all_inner_texts()
    assert "e\u0301" in cells
    assert "\U0001f469\u200d\U0001f680" in cells


def test_pointing_at_a_character_tells_what_was_likely(two_sided_run, hostile, inspected, open_page):
    page = open_page(inspected)
    page.locator("#c0-3").hover()  # the s of said
    expected = two_sided_run.inspect(hostile).tokens[3]
    details = page.locator("#details")
    assert f"s {expected.left.bits:.2f} bits" in details.inner_text()
    assert f"s {expected.both_sides.bits:.2f} bits" in details.inner_text()
    rows = details.locator("ol").first.locator("li").all_inner_texts()
    told = [float(row.split("\n")[1]) for row in rows]
    assert told == pytest.approx([probability for _, probability in expected.left.alternatives], abs=6e-4)
    bars = [bar.bounding_box()["width"] for bar in details.locator("ol").first.locator(".bar").all()]
    assert bars == sorted(bars, reverse=True)
    assert bars[0] > 1.5 * bars[-1]


def test_the_keyboard_is_enough(inspected, open_page):
    page = open_page(inspected)
    page.locator("#text0").focus()
    page.keyboard.press("Home")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert page.locator("#text0").get_attribute("aria-activedescendant") == "c0-3"
    page.keyboard.press("ArrowDown")
    below = page.locator("#text0").get_attribute("aria-activedescendant")
    assert page.locator(f"#{below}").bounding_box()["y"] > page.locator("#c0-3").bounding_box()["y"]
    page.keyboard.press("End")
    assert page.locator("#c0-3").get_attribute("aria-selected") == "false"


def test_a_chosen_unit_colours_the_text(two_sided_run, hostile, inspected, open_page):
    page = open_page(inspected)
    page.get_by_label("Unit", exact=True).fill("5")
    page.get_by_label("Unit", exact=True).press("Enter")
    page.get_by_label("Unit", exact=True).blur()
    value = two_sided_run.inspect(hostile).activations["layer 1, output"][3, 5]
    page.locator("#c0-3").hover()
    told = page.locator("#details").inner_text()
    assert "layer 1, output, unit 5" in told
    assert float(told.rsplit(": ", 1)[1]) == pytest.approx(value, abs=0.01)
    colour = page.locator("#c0-3").evaluate("cell => cell.style.background")
    assert ("--cold" if value < 0 else "--warm") in colour


def test_labels_stand_beside_those_of_the_file(tagger, column_file, open_page, tmp_path):
    seqlm.write_label_inspection(tagger.path, column_file, tmp_path / "labels.html")
    page = open_page(tmp_path / "labels.html")
    examples = seqlm.read_columns(column_file)
    gold = [label for _, labels in examples for label in labels]
    predicted = [label for labels in tagger.predict([tokens for tokens, _ in examples]) for label in labels]
    wrong = [number for number, (one, other) in enumerate(zip(gold, predicted)) if one != other]
    assert page.locator("#text0 .wrong").count() == len(wrong) > 0
    page.locator(f"#c0-{wrong[0]}").hover()
    told = page.locator("#details").inner_text()
    assert f"predicted {predicted[wrong[0]]} (" in told
    assert f"in the file {gold[wrong[0]]}" in told
    assert violations(page) == []


def test_hovering_a_curve_tells_its_values(report, language_run, open_page):
    page = open_page(report)
    page.wait_for_selector("#loss .main-svg")
    page.locator("#loss .nsewdrag").first.hover()
    page.wait_for_selector("#loss .hoverlayer text", state="attached")
    told = page.locator("#loss .hoverlayer").text_content()
    losses = [record["training_nats_per_token"] for record in language_run.history() if record["kind"] == "report"]
    assert any(f"{loss:.4f}" in told for loss in losses)


def test_a_report_changes_axis_and_unit(report, language_run, open_page):
    page = open_page(report)
    page.wait_for_selector("#loss .main-svg")
    page.get_by_label("perplexity").check()
    page.get_by_label("epochs").check()
    drawn = page.evaluate("document.getElementById('loss').data.map(t => [t.name, Array.from(t.x), Array.from(t.y)])")
    curves = {name: (x, y) for name, x, y in drawn}
    epochs = [record for record in language_run.history() if record["kind"] == "epoch"]
    x, y = curves["one-way: validation"]
    assert x == [record["epoch"] for record in epochs]
    assert y == pytest.approx([2.718281828459045 ** record["validation_nats_per_token"] for record in epochs], rel=1e-4)


def test_a_report_shows_samples_settings_and_commands(report, language_run, two_sided_run, open_page):
    page = open_page(report)
    samples = language_run.training_samples()
    assert page.locator("#sample0").text_content() == samples[-1]["text"]
    page.locator("input.samples").first.fill("0")
    assert page.locator("#sample0").text_content() == samples[0]["text"]
    assert f"{samples[0]['step']}, epoch" in page.locator("#step0").text_content()
    row = page.get_by_role("row", name="cell ")
    assert [cell.strip() for cell in row.first.locator("td").all_inner_texts()] == ["lstm", "bigru"]
    assert page.get_by_role("row", name="sequence_length").count() == 0  # the same in both
    assert "</script><script>alert(3)</script>" in page.locator("pre").last.text_content()


def test_a_report_of_a_tagger_shows_its_figures(tagger, open_page, tmp_path):
    seqlm.write_report(tagger.path, out=tmp_path / "tagger.html")
    page = open_page(tmp_path / "tagger.html")
    page.wait_for_selector("#loss .main-svg")
    best = [record for record in tagger.history() if record.get("best")][-1]
    row = page.get_by_role("row", name="validation accuracy")
    assert row.locator("td").inner_text() == f"{best['validation_accuracy']:.4f}"
    assert "nats per label" in page.locator("#loss").text_content()
    assert page.get_by_role("heading", name="Samples during the training").count() == 0
    assert violations(page) == []


def test_a_report_of_one_run_lists_what_is_not_the_default(language_run, open_page, tmp_path):
    seqlm.write_report(language_run.path, out=tmp_path / "one.html")
    page = open_page(tmp_path / "one.html")
    names = page.get_by_role("region", name="Settings").locator("tbody th").all_inner_texts()
    assert "hidden_size" in names
    assert "optimizer" not in names
