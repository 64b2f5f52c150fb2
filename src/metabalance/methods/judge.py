"""How well, and how sure: the methods of this stage, in the order in which they are listed."""

from metabalance.methods import papers
from metabalance.methods.base import Method

__all__ = ["METHODS"]

# fmt: off
METHODS: tuple[Method, ...] = (
    Method(
        "corrected_resampled_t", "judge",
        "A t interval and test over folds and seeds that allows for their shared training rows.", (papers.NADEAU,),
        (
            "metabalance.judge.intervals:corrected_resampled_interval",
            "metabalance.judge.paired:paired_difference",
        ),
    ),
    Method(
        "delong", "judge", "A closed-form interval for the area under the ROC curve.", (papers.DELONG, papers.SUN),
        ("metabalance.judge.intervals:delong_interval", "metabalance.judge.paired:delong_difference"),
    ),
    Method(
        "newcombe", "judge", "An interval for the area under the ROC curve that holds for few positives.",
        (papers.NEWCOMBE,), ("metabalance.judge.intervals:newcombe_interval",),
    ),
    Method(
        "wilson", "judge",
        "An interval for a proportion that stays sensible near 0, near 1 and for few rows.", (papers.WILSON,),
        ("metabalance.judge.intervals:wilson_interval",),
    ),
    Method(
        "bca", "judge", "A bootstrap interval corrected for bias and skewness, for any metric.", (papers.EFRON,),
        ("metabalance.judge.intervals:bootstrap_interval",),
    ),
    Method(
        "holm", "judge", "Adjusts p-values when several recipes are tested at once.", (papers.HOLM,),
        ("metabalance.judge.paired:holm",),
    ),
    Method(
        "mcnemar", "judge", "An exact test on the rows that only one of two classifiers gets right.",
        (papers.MCNEMAR,), ("metabalance.judge.paired:mcnemar",),
    ),
    Method(
        "critical_difference", "judge", "Mean ranks of models over data sets, and how far apart they must lie.",
        (papers.DEMSAR,), ("metabalance.judge.friedman:critical_difference",),
    ),
    Method(
        "auroc_auprc", "judge",
        "Which mistakes of a ranking ROC AUC and average precision see, and which groups each has repaired first.",
        (papers.MCDERMOTT,),
        (
            "metabalance.judge.mistakes:atomic_mistakes", "metabalance.judge.subpopulations:subpopulation_bias",
            "metabalance.judge.swaps:fix_mistakes", "metabalance.judge.which_metric:which_metric",
        ),
    ),
    Method(
        "noisy_metrics", "judge",
        "How annotation errors move each metric, and the true value from labels with errors at known rates.",
        (papers.KULATILLEKE, papers.MENON_NOISE, papers.NATARAJAN),
        (
            "metabalance.judge.label_noise:label_errors", "metabalance.judge.noise_correction:corrected_metric",
            "metabalance.judge.noisy_choice:lexicographic_best",
        ),
    ),
    Method(
        "metric_against_prior", "judge",
        "A metric as the test data would give it if the classes had other shares, with intervals.",
        (papers.ELKAN, papers.MCDERMOTT), ("metabalance.judge.against_prior:metric_against_prior",),
    ),
    Method(
        "h_measure", "judge", "The expected loss over a stated distribution of costs, the same for every model.",
        (papers.HAND, papers.HAND_2014), ("metabalance.judge:h_measure",),
    ),
    Method(
        "smooth_ece", "judge", "Calibration error by a kernel whose width follows from the data, without bins.",
        (papers.BLASIOK,), ("metabalance.judge:ece_kernel",),
    ),
    Method(
        "net_benefit", "judge", "True alarms minus false ones, weighed by what the threshold says about their worth.",
        (papers.VICKERS,), ("metabalance.judge:net_benefit_curve",),
    ),
    Method(
        "index_balanced_accuracy", "judge", "A product of recalls, weighed by which class they favour.",
        (papers.GARCIA,), ("metabalance.judge:index_balanced_accuracy",),
    ),
)
# fmt: on
