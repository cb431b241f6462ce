"""Calibration, risk and coverage, and thresholds whose promise holds in 95 of 100 simulated runs."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from eval import selective

FLAT = selective.label_tree(["a", "b"])


def _flat(confidence, *, num_classes=2):
    """Probabilities [N, C] whose first class has ``confidence``."""
    rest = (1 - np.asarray(confidence, dtype=float)) / (num_classes - 1)
    return np.column_stack([confidence, *[rest] * (num_classes - 1)])


def test_bounds_by_hand():
    # All right: the bound is 0.05^(1/n). 0.05^(1/58) = 0.9497, 0.05^(1/59) = 0.9505.
    assert selective.lower_bound(58, 58) == pytest.approx(0.05 ** (1 / 58))
    assert selective.lower_bound(58, 58) < 0.95 < selective.lower_bound(59, 59)
    assert selective.lower_bound(0, 10) == 0
    assert [selective.fewest_works(p) for p in (0.9, 0.95, 0.99)] == [29, 59, 299]
    # Table of certifiable counts: 93 with one wrong, 92 are too few.
    assert selective.lower_bound(92, 93) >= 0.95 > selective.lower_bound(91, 92)


def test_the_fitted_scale_undoes_a_wrong_temperature():
    rng = np.random.default_rng(0)
    cosine_NC = rng.normal(0, 0.1, (4000, 5))
    p_NC = selective.probabilities(cosine_NC, 30.0)
    labels = (p_NC.cumsum(axis=1) > rng.random((4000, 1))).argmax(axis=1)
    scale = selective.fit_scale(cosine_NC, labels)
    assert scale == pytest.approx(30, rel=0.05)

    def error(scale):
        p_NC = selective.probabilities(cosine_NC, scale)
        confidence = p_NC.max(axis=1)
        correct = (p_NC.argmax(axis=1) == labels).astype(float)
        return selective.calibration_errors(confidence, correct, selective.mass_bins(confidence))[0]

    assert error(scale) < 0.03
    assert error(100.0) > 0.15


def test_a_scale_that_could_grow_without_end_is_bounded():
    cosine_NC = np.array([[0.3, 0.1], [0.1, 0.3]])
    assert selective.fit_scale(cosine_NC, np.array([0, 1])) <= 1e4
    assert selective.fit_scale(cosine_NC, np.array([1, 0])) >= 1e-2


def test_calibration_error_by_hand():
    # Bin 0: 0.6 and 0.7, one of two right: |0.5 - 0.65| = 0.15. Bin 1: 0.9 and 1.0, both right: |1 - 0.95| = 0.05.
    confidence, correct = np.array([0.6, 0.9, 0.7, 1.0]), np.array([1.0, 1.0, 0.0, 1.0])
    bins = selective.mass_bins(confidence, 2)
    assert bins.tolist() == [0, 1, 0, 1]
    assert selective.calibration_errors(confidence, correct, bins) == pytest.approx([0.1])
    # The third picture counts twice: bin 0 is 1 of 3 right at 2/3 confidence, gap 1/3 of weight 3/5; bin 1 as before.
    weights = np.array([[1.0, 1, 2, 1]])
    assert selective.calibration_errors(confidence, correct, bins, weights) == pytest.approx([0.2 + 0.02])


def test_bins_hold_equal_mass_and_ties_stay_together():
    bins = selective.mass_bins(np.random.default_rng(1).random(150))
    assert np.bincount(bins).tolist() == [10] * 15
    assert set(selective.mass_bins(np.full(40, 0.5))) == {1}
    assert len(set(selective.mass_bins(np.array([0.1, 0.2])))) == 2


def test_augrc_agrees_with_its_closed_form():
    rng = np.random.default_rng(2)
    for ties in (False, True):
        confidence = rng.random(300)
        confidence = np.round(confidence, 1) if ties else confidence
        correct = (rng.random(300) < 0.3 + 0.6 * confidence).astype(float)
        accuracy, auroc = correct.mean(), roc_auc_score(correct, confidence)
        expected = (1 - auroc) * accuracy * (1 - accuracy) + (1 - accuracy) ** 2 / 2
        assert selective.augrc(confidence, correct) == pytest.approx([expected])
    assert selective.augrc(np.array([0.9, 0.8]), np.array([1.0, 0.0])) == pytest.approx([0.125])


def test_weights_count_like_copies():
    rng = np.random.default_rng(3)
    confidence, correct = rng.random(40), (rng.random(40) < 0.7).astype(float)
    counts = rng.integers(0, 4, 40)
    weights = np.stack([counts, np.ones(40)]).astype(float)
    copies = np.repeat(np.arange(40), counts)
    expected = [selective.augrc(confidence[copies], correct[copies])[0], selective.augrc(confidence, correct)[0]]
    assert selective.augrc(confidence, correct, weights) == pytest.approx(expected)


def test_risk_and_coverage_by_hand():
    confidence, correct = np.array([0.9, 0.5, 0.7, 0.7]), np.array([1.0, 0, 1, 0])
    coverage, risk = selective.risk_coverage(confidence, correct)
    assert coverage.tolist() == [0.25, 0.75, 1.0]
    assert risk.tolist() == pytest.approx([0, 1 / 3, 0.5])


def test_parts_never_share_a_work():
    works = [f"work-{number // 3}" for number in range(900)]
    fits = selective.fitting_part(works)
    assert not {w for w, f in zip(works, fits, strict=True) if f} & {
        w for w, f in zip(works, fits, strict=True) if not f
    }
    assert 0.3 < fits.mean() < 0.5
    chosen = selective.one_per_work(works, [f"key-{number}" for number in range(900)])
    assert sorted({works[i] for i in chosen}) == sorted(set(works))
    assert len(chosen) == 300


def test_iconclass_classes_have_what_is_above_them():
    tree = selective.label_tree(["11H(JEROME)", "11H(PETER)", "25F23"])
    assert set(tree.nodes) == {"11H(JEROME)", "11H(PETER)", "11H", "11", "1", "25F23", "25F2", "25F", "25", "2"}
    column = dict(zip(tree.nodes, tree.is_under_CK.T.tolist(), strict=True))
    assert column["11H"] == [True, True, False]
    assert column["25F23"] == [False, False, True]
    saints = selective.label_tree(["11H(JEROME)", "11H(PETER)"])
    assert "11H" not in saints.nodes  # true of every picture, it would say nothing
    flat = selective.label_tree(["ship", "11H(PETER)"])
    assert (flat.nodes, flat.depths_K.tolist()) == (("ship", "11H(PETER)"), [1, 1])


def test_labels_go_back_to_a_broader_one_that_is_sure_enough():
    tree = selective.label_tree(["11H(JEROME)", "11H(PETER)", "25F23"])
    probability_NC = np.array([[0.95, 0.04, 0.01], [0.5, 0.45, 0.05], [0.5, 0.1, 0.4]])
    rungs = selective.climb(probability_NC, tree)
    nodes, mass = selective.give_labels(rungs, 0.9)
    assert [tree.nodes[n] if n >= 0 else "" for n in nodes] == ["11H(JEROME)", "11H", ""]
    assert mass == pytest.approx([0.95, 0.95, 0.0])
    # Jerome for Peter is wrong, the saints above both are right.
    place = dict(zip(tree.nodes, range(len(tree.nodes)), strict=True))
    assert not tree.is_under_CK[1, place["11H(JEROME)"]]
    assert tree.is_under_CK[1, place["11H"]]


def _certify(fitted, measured, tree=FLAT, *, precision=0.95, units=None):
    parts = [selective.Part(p, labels, np.arange(len(p))) for p, labels in (fitted, measured)]
    if units is not None:
        parts = [selective.Part(part.probability_NC, part.labels_N, units) for part in parts]
    return selective.certify(*parts, tree, precision=precision)


def test_a_perfect_model_needs_59_works_for_95_percent():
    for count, is_certified in ((58, False), (59, True)):
        part = _flat(np.full(count, 0.9)), np.zeros(count, dtype=int)
        promise = _certify(part, part)
        assert (promise.threshold is not None) is is_certified
        if is_certified:
            assert (promise.works, promise.works_right, promise.coverage) == (59, 59, 1.0)
        else:
            assert "needs at least 59" in promise.why_not


def test_a_model_that_is_not_good_enough_gets_no_threshold():
    rng = np.random.default_rng(4)
    part = _flat(rng.uniform(0.5, 1, 400)), (rng.random(400) > 0.8).astype(int)  # right in 80 %, however sure
    promise = _certify(part, part)
    assert promise.threshold is None
    assert "may mean as little as" in promise.why_not


def _hard_case(rng, number):
    """Confidence in [0.5, 1]: 97 % right above 0.8, 90 % from 0.6 on, 80 % below: 95 % of all above 0.72."""
    confidence = rng.uniform(0.5, 1, number)
    return _flat(confidence), (rng.random(number) > _rate(confidence)).astype(int)


def _rate(confidence):
    return np.where(confidence > 0.8, 0.97, np.where(confidence > 0.6, 0.90, 0.80))


def test_the_promise_holds_in_at_least_95_of_100_runs():
    rng = np.random.default_rng(5)
    broken, certified = 0, 0
    for _ in range(500):
        promise = _certify(_hard_case(rng, 400), _hard_case(rng, 1000))
        if promise.threshold is not None:
            certified += 1
            broken += _rate(np.linspace(promise.threshold, 1, 20001)).mean() < 0.95
    assert broken <= 25
    assert certified > 150  # a method that never promises would keep all promises


def test_it_holds_where_every_threshold_falls_just_short():
    rng = np.random.default_rng(9)

    def draw(number):
        return _flat(rng.uniform(0.5, 1, number)), (rng.random(number) > 0.949).astype(int)

    promises = [_certify(draw(200), draw(400)) for _ in range(500)]
    assert sum(promise.threshold is not None for promise in promises) <= 25


def test_the_best_of_many_thresholds_would_break_it():
    """Why the tests stop at the first failure: the lowest threshold whose own bound passes is no promise."""
    rng = np.random.default_rng(6)
    broken = 0
    for _ in range(300):
        right = (rng.random(600) < 0.945).cumsum()  # the truth is 94.5 % everywhere
        broken += any(selective.lower_bound(int(right[k - 1]), k) >= 0.95 for k in range(59, 601, 5))
    assert broken > 0.1 * 300


def test_works_are_counted_and_not_their_pictures():
    """Twenty pictures of a work are right or wrong together: counted one by one they would seem to be evidence."""
    rng = np.random.default_rng(7)
    broken = {"works": 0, "pictures": 0}
    works = np.repeat([f"w{number}" for number in range(100)], 20)
    units = selective.one_per_work(works, [f"k{number}" for number in range(2000)])

    def draw():
        labels = np.repeat((rng.random(100) < 0.06).astype(int), 20)  # 94 % of the works are right
        return _flat(np.full(2000, 0.9)), labels

    for _ in range(300):
        fitted, measured = draw(), draw()
        for name, counted in (("works", units), ("pictures", np.arange(2000))):
            broken[name] += _certify(fitted, measured, units=counted).threshold is not None
    assert broken["works"] <= 15
    assert broken["pictures"] > 60


SAINTS_AND_BEASTS = selective.label_tree(["11H(JEROME)", "11H(PETER)", "25F23", "25F24"])


def _draw_saints_and_beasts(rng, number):
    """Saints are told from beasts in 97 of 100 pictures, whatever the model says; two saints (or beasts) badly."""
    is_saint, within, broad = rng.random(number) < 0.5, rng.uniform(0.3, 0.99, number), rng.uniform(0.85, 0.999, number)
    own, other = np.where(is_saint[:, None], [0, 1], [2, 3]), np.where(is_saint[:, None], [2, 3], [0, 1])
    probability, rows = np.empty((number, 4)), np.arange(number)
    for column, share in ((0, within), (1, 1 - within)):
        probability[rows, own[:, column]] = broad * share
        probability[rows, other[:, column]] = (1 - broad) / 2
    likeliest = np.where(within >= 0.5, own[:, 0], own[:, 1])
    sibling = np.where(within >= 0.5, own[:, 1], own[:, 0])
    is_leaf_right = rng.random(number) < 0.9 * np.maximum(within, 1 - within)
    labels = np.where(rng.random(number) < 0.97, np.where(is_leaf_right, likeliest, sibling), other[:, 0])
    return probability, labels


def test_the_promise_holds_with_back_off_too():
    tree, rng = SAINTS_AND_BEASTS, np.random.default_rng(8)
    true_probability, true_labels = _draw_saints_and_beasts(rng, 200_000)
    truth = selective.climb(true_probability, tree)
    broken, certified, broader = 0, 0, 0
    for _ in range(150):
        promise = _certify(_draw_saints_and_beasts(rng, 400), _draw_saints_and_beasts(rng, 800), tree, precision=0.9)
        if promise.threshold is not None:
            certified += 1
            node, _ = selective.give_labels(truth, promise.threshold)
            given = node >= 0
            broken += tree.is_under_CK[true_labels[given], node[given]].mean() < 0.9
            assert promise.coverage_by_depth is not None
            assert sum(promise.coverage_by_depth.values()) == pytest.approx(promise.coverage)
            broader += len(promise.coverage_by_depth) > 1
    assert broken <= 7
    assert certified > 100
    assert broader > 80


def test_the_order_is_laid_out_on_the_fitting_part_alone():
    confidence = np.linspace(0.5, 1, 1001)
    labels = (confidence < 0.75).astype(int)  # all right from 0.75 on, all wrong below
    rungs = selective.climb(_flat(confidence), FLAT)
    thresholds = selective.lay_out_thresholds(rungs, labels, np.arange(1001), FLAT, precision=0.95)
    assert len(thresholds) <= 200
    assert (np.diff(thresholds) < 0).all()
    assert thresholds[0] == pytest.approx(0.75, abs=0.01)
