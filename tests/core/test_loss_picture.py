"""The picture of a training."""

from __future__ import annotations

import warnings

import pytest
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

from seqlm_core.evaluation.pictures import families_for
from seqlm_core.views.loss_picture import History, draw_losses

RECORDS = [{"kind": "epoch", "step": 1, "epoch": 1, "seconds": 2.0, "best": True, "training_nats_per_token": 1.0}]
HISTORY = [History("", RECORDS, "nats_per_token")]
CHINESE = "全唐詩"


def character_of_another_font():
    """Return a character that the usual font lacks and another one has, and the names of those that have it."""
    usual = FT2Font(font_manager.findfont(font_manager.FontProperties())).get_charmap()
    having: dict[int, set[str]] = {}
    for font in font_manager.fontManager.ttflist:
        if not font.name.startswith("Last Resort"):
            for code in set(FT2Font(font.fname).get_charmap()) - set(usual):
                having.setdefault(code, set()).add(font.name)
    for code in sorted(having):
        if chr(code).isprintable():
            return chr(code), having[code]
    return None


@pytest.mark.parametrize("title", [CHINESE, "lstm, 全唐詩-lstm-1", "a $ and 一", "emoji \U0001f680"])
def test_a_name_in_any_script_draws_without_a_warning(title, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_losses(HISTORY, tmp_path / "loss.png", title)
    assert (tmp_path / "loss.png").stat().st_size > 1000


def test_other_warnings_still_reach_the_user(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    def warn(self, file, **named):
        warnings.warn("something else", UserWarning, stacklevel=1)
        file.write(b"")

    monkeypatch.setattr(Figure, "savefig", warn)
    with pytest.warns(UserWarning, match="something else"):
        draw_losses(HISTORY, tmp_path / "loss.png", CHINESE)


def test_a_font_that_has_the_characters_is_taken():
    found = character_of_another_font()
    assert found, "no font of matplotlib's own has a character that its usual one lacks"
    character, having = found
    *usual, other = families_for(f"text {character}")
    assert usual == families_for("text")
    assert other in having


def test_a_title_that_the_usual_font_has_gets_no_other(monkeypatch):
    assert families_for("lstm, input-lstm-1 \u00e9") == list(font_manager.FontProperties().get_family())


def test_a_font_that_cannot_be_read_is_passed_over(monkeypatch, tmp_path):
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"no font")
    entry = font_manager.FontEntry(fname=str(broken), name="Broken", style="normal", weight=400)
    gone = font_manager.FontEntry(fname=str(tmp_path / "gone.ttf"), name="Gone", style="normal", weight=400)
    usual = [font for font in font_manager.fontManager.ttflist if font.name == "DejaVu Sans"]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [gone, entry, *usual])
    assert families_for(CHINESE) == families_for("text")


def test_what_matplotlibs_libraries_deprecate_is_no_error_of_the_picture(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    def warn(self, file, **named):
        warnings.warn("oneOf is deprecated", DeprecationWarning, stacklevel=1)
        file.write(b"drawn all the same")

    monkeypatch.setattr(Figure, "savefig", warn)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_losses(HISTORY, tmp_path / "loss.png", CHINESE)
    assert (tmp_path / "loss.png").read_bytes() == b"drawn all the same"
