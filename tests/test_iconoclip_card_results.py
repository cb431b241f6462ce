"""The blocks of results are what the Hub's own library reads back."""

import yaml
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results

from iconoclip.card_results import eval_results, main_rows, model_index

ROW = {
    "model": "m", "benchmark": "xm3600", "benchmark_revision": "8d3e5665526c", "task": "retrieval", "slice": "all",
    "metric": "text_to_image/hit_rate@1", "value": 0.47123, "ci_low": 0.45, "ci_high": 0.49, "n": 3600, "subset": "all",
    "software": "iconoclip 0.1.0", "created": "2026-11-20T08:00:00Z",
}  # fmt: skip
SHEET = {"name": "xm3600", "hub_dataset": "floschne/xm3600", "pinned_revision": "8" * 40}
RUN = {"primary": [["xm3600", "retrieval", "text_to_image/hit_rate@1"]], "benchmarks": [SHEET]}


def test_the_hub_reads_the_model_index_back():
    other = ROW | {"metric": "image_to_text/hit_rate@1", "value": 0.5}
    name, found = model_index_to_eval_results(model_index("org/m", [ROW, other]))
    assert name == "org/m"
    assert [(e.metric_type, e.metric_value) for e in found] == [(ROW["metric"], 0.4712), (other["metric"], 0.5)]
    assert found[0].dataset_revision == "8d3e5665526c"
    assert found[0].metric_name == "text_to_image/hit_rate@1, 95 % interval 0.450 to 0.490, n 3600"
    front = yaml.safe_dump({"license": "apache-2.0", "model-index": model_index("org/m", [ROW])})
    card = ModelCard(f"---\n{front}---\n# m\n")
    assert card.data.eval_results is not None
    assert card.data.eval_results[0].metric_value == 0.4712


def test_slices_counts_and_clean_subsets_are_not_in_the_index():
    assert model_index("m", [ROW | {"value": None}, ROW | {"slice": "language=fr"}, ROW | {"subset": "clean"}]) == []
    assert len(main_rows([ROW, ROW | {"slice": "language=fr"}, ROW | {"slice": "century=17"}])) == 2


def test_a_figure_that_rests_on_pictures_seen_in_training_says_so():
    clean = ROW | {"subset": "clean", "value": 0.0104, "ci_low": 0.0, "ci_high": 0.04, "n": 96}
    said = "training had seen some of it, without that: 0.0104, 95 % interval 0.000 to 0.040, n 96"
    metric = model_index("m", [ROW, clean])[0]["results"][0]["metrics"][0]
    assert metric["value"] == 0.4712
    assert metric["name"].endswith(f"n 3600; {said}")
    assert eval_results([ROW, clean], [RUN])["xm3600.yaml"][0]["notes"].endswith(said)
    few = clean | {"value": None, "n": 15}
    assert "without that: no score, n 15" in model_index("m", [ROW, few])[0]["results"][0]["metrics"][0]["name"]
    same = clean | {"n": ROW["n"]}  # nothing was seen
    assert model_index("m", [ROW, same]) == model_index("m", [ROW])


def test_the_hub_reads_eval_results_back():
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml, parse_eval_result_entries

    files = eval_results([ROW, ROW | {"metric": "image_to_text/hit_rate@1"}], [RUN])
    assert list(files) == ["xm3600.yaml"]
    (entry,) = parse_eval_result_entries(yaml.safe_load(yaml.safe_dump(files["xm3600.yaml"])))
    assert isinstance(entry, EvalResultEntry)
    assert (entry.dataset_id, entry.task_id, entry.value) == ("floschne/xm3600", "retrieval", 0.4712)
    assert (entry.dataset_revision, entry.date) == ("8" * 40, "2026-11-20T08:00:00Z")
    assert "95 % interval 0.450 to 0.490" in (entry.notes or "")
    assert eval_result_entries_to_yaml([entry]) == files["xm3600.yaml"]  # nothing that the Hub would not know


def test_benchmarks_that_are_no_data_set_of_the_hub_have_no_file():
    assert eval_results([ROW], [RUN | {"benchmarks": [SHEET | {"hub_dataset": ""}]}]) == {}
    assert eval_results([ROW | {"value": None}], [RUN]) == {}
    unpinned = eval_results([ROW], [RUN | {"benchmarks": [SHEET | {"pinned_revision": "v1"}]}])
    assert "revision" not in unpinned["xm3600.yaml"][0]["dataset"]
