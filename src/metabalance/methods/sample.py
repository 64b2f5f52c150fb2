"""Which examples are seen: the methods of this stage, in the order in which they are listed."""

from metabalance.methods import papers
from metabalance.methods.base import Method, recipe, resampler, value_recipe

__all__ = ["METHODS"]

# fmt: off
METHODS: tuple[Method, ...] = (
    recipe(
        "oversample", "sample",
        "Repeats random rows of the smaller classes until all classes are as large as the largest.", (papers.BUDA,),
        "metabalance.sample:OverSampler",
    ),
    recipe(
        "undersample", "sample",
        "Shows only as many rows of each class as the smallest has, a fresh random subset at each pass.",
        (papers.BUDA,), "metabalance.sample:UnderSampler",
    ),
    recipe(
        "balanced_batches", "sample",
        "Draws classes in strict rotation, so that every batch holds them in equal shares.", (papers.SHEN,),
        "metabalance.sample:ClassBalancedSampler",
    ),
    recipe(
        "square_root", "sample",
        "Draws a class in proportion to the root of its size: halfway between natural and balanced.",
        (papers.KANG,), "metabalance.sample:PowerSampler",
    ),
    recipe(
        "progressive", "sample",
        "Draws classes by their natural shares at first and equally in the end, with a linear passage.",
        (papers.KANG,), "metabalance.sample:ProgressiveSampler",
    ),
    recipe(
        "mixup", "sample", "Averages examples in pairs, and their labels with them.", (papers.ZHANG_MIXUP,),
        "metabalance.sample:Mixup",
    ),
    recipe(
        "cutmix", "sample", "Pastes a patch of an image onto another and mixes the labels by the area.",
        (papers.YUN,), "metabalance.sample:CutMix", modality="image",
    ),
    recipe(
        "remix", "sample",
        "Mixes examples in pairs and gives the label to the rarer class where the two are very unequal.",
        (papers.CHOU, papers.ZHANG_MIXUP), "metabalance.sample:Remix",
    ),
    recipe(
        "m2m", "sample",
        "Changes examples of large classes, late in training, until a second network takes them for a small class.",
        (papers.KIM,), "metabalance.sample:MajorToMinor",
    ),
    resampler(
        "random_over", "Repeats random rows of the smaller classes once, before training starts.", papers.BUDA,
        recipe=False, modality="any",
    ),
    resampler(
        "random_under", "Drops random rows of the larger classes once, before training starts.", papers.BUDA,
        recipe=False, modality="any",
    ),
    resampler(
        "smote", "Adds points on the lines between neighbours of the same small class.", papers.CHAWLA,
        also=("metabalance.sample:SMOTE",),
    ),
    resampler(
        "borderline_smote", "SMOTE that starts only from points near rows of other classes.", papers.HAN,
    ),
    resampler(
        "svm_smote", "SMOTE that starts from a support vector machine's support vectors.", papers.NGUYEN,
    ),
    resampler(
        "adasyn", "SMOTE that adds more points where neighbours of other classes are more numerous.", papers.HE,
        also=("metabalance.sample:ADASYN",),
    ),
    resampler(
        "cluster_centroids", "Replaces the rows of a large class by k-means centres.", papers.LIN_WC,
    ),
    resampler(
        "near_miss", "Keeps the rows of a large class that lie nearest to the rows of the smallest.", papers.ZHANG,
    ),
    resampler(
        "all_knn", "Drops rows of large classes that their neighbours would misclassify.", papers.TOMEK,
    ),
    resampler(
        "smote_enn", "SMOTE, then drops the rows that their neighbours would misclassify.", papers.BATISTA, papers.CHAWLA,
    ),
    value_recipe(
        "smogn", "sample",
        "Adds rows with rare target values, between near neighbours or by noise around a row whose neighbours are far.",
        (papers.BRANCO, papers.TORGO, papers.TORGO_2007),
        "metabalance.sample:SMOGN", "metabalance.sample:relevance", "metabalance.sample:box_plot_points",
        modality="numeric", notes=("Without noise it is SMOTER.",),
    ),
    value_recipe(
        "smoter", "sample", "Adds rows with rare target values between near neighbours.",
        (papers.TORGO, papers.TORGO_2007), "metabalance.sample:SMOGN", modality="numeric",
    ),
    value_recipe(
        "rare_over", "sample", "Repeats random rows with rare target values and drops common ones.",
        (papers.BRANCO_2019, papers.TORGO_2007), "metabalance.sample:RareOverSampler",
    ),
)
# fmt: on
