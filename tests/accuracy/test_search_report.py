"""The page of a search: every plan that was tried, each layer's choice, three charts, and no markup from a file."""

import pytest
from sweeps import HOSTILE, write_files

from refengine.accuracy.search import Budget, prepare, uniform
from refengine.accuracy.search_jobs import Sources, run_sources
from refengine.accuracy.search_report import page
from refengine.optional import installed
from refengine.quantization.plan import Weights

pytestmark = pytest.mark.skipif(
    not installed("scipy") or not installed("matplotlib"), reason="scipy or matplotlib is missing"
)


def test_the_page_shows_plans_layers_and_three_charts(tmp_path):
    import matplotlib.figure

    files = write_files(tmp_path)
    sources = Sources(files.network, files.calibration)
    search = prepare(tmp_path / "made", sources, lambda jobs: ((job, run_sources(job, sources)) for job in jobs))
    plans = [(HOSTILE, uniform(search.problem, Weights("ternary", 2))), ("b", uniform(search.problem, Weights("int8")))]
    one, _ = search.try_plans(plans)
    html = page(search, one, Budget("points", 1.0), matplotlib)
    assert html.count("<svg") == 4
    assert "<script" not in html
    assert "http://" not in html.replace("http://example.com/", "")
    assert all(name in html for name in (*search.problem.names, "ternary:2", one.trial.model_hash[:12]))
