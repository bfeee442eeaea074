from tests.tune_jobs.analysis.comparisons import make_comparison
from tune_jobs.analysis.report.model_card import model_card


def test_the_card_says_what_the_model_was_chosen_by():
    card = model_card(make_comparison())
    assert "| chosen by | validation accuracy |" in card
    assert "other seeds" not in card


def test_the_card_of_a_comparison_of_seeds_has_what_its_settings_reach():
    comparison = make_comparison(seeds=3)
    card = model_card(comparison)
    assert "| chosen by | mean validation accuracy over 3 seeds |" in card
    assert "| mean validation accuracy of 3 other seeds of these settings | " in card
    mean = f"{comparison.chosen.spread.mean:.2%}"
    assert f"| mean test accuracy of 3 other seeds of these settings (95% CI) | {mean} (" in card
