"""The study of Buda, Maki & Mazurowski, 2018, as a study: levels of step imbalance × methods, five conclusions.

Every network makes the same number of updates whatever the number of training images, as theirs do, and the
main metric is theirs: the mean over the classes of the area of one class against all others.
"""

from metabalance.study.reproduce.base import Arm, Claim, Contrast, Data, Published, Setup, Training, greater

UPDATES, BATCH, N_MAX = 300, 32, 200
AUC = "roc_auc"


def level(
    images: str, ratio: float, minority: float = 0.5, n_max: int = N_MAX, updates: int = UPDATES
) -> Setup:
    """A set-up with step imbalance and as many epochs as make up the updates."""
    small = round(10 * minority)
    rows = (10 - small) * n_max + small * int(n_max / ratio)
    steps = max(10, -(-rows // BATCH))  # a recipe's epoch has at least ten
    return Setup(
        Data(images, "step", n_max, ratio, minority, order="random", validation=20, test=100),
        Training(epochs=round(updates / steps), batch_size=BATCH),
    )


def levels(sets: dict[str, str], **scale: int) -> dict[str, Setup]:
    """Balanced, two ratios, and three shares of small classes at the larger one."""
    return {
        f"{title}, {name}": level(images, *settings, **scale)
        for title, images in sets.items()
        for name, settings in {
            "balanced": (1.0, 0.5),
            "ratio 10, half small": (10.0, 0.5),
            "ratio 100, half small": (100.0, 0.5),
            "ratio 100, nine small": (100.0, 0.9),
        }.items()
    }


SETS = {"MNIST": "mnist", "Fashion-MNIST": "fashion-mnist"}
FIRST, SECOND, THIRD, FOURTH, FIFTH = (
    "i. imbalance is detrimental",
    "ii. over-sampling dominates",
    "iii. over-sampling to full balance, under-sampling by extent",
    "iv. over-sampling does not overfit",
    "v. thresholding, when accuracy counts",
)


def drop(title: str, easy: str, hard: str, sign: float = 1.0) -> tuple[tuple[str, str, float], ...]:
    """How much area the plain network loses from one level to another."""
    return ((f"{title}, {easy}", "baseline", sign), (f"{title}, {hard}", "baseline", -sign))


CLAIM = Claim(
    name="systematic-study",
    paper="thresholding",
    statement=(
        "Imbalance is detrimental; over-sampling dominates in almost all cases; it should go to full balance, while "
        "the best under-sampling depends on the extent; it does not overfit; thresholding compensates for priors "
        "when accuracy is of interest."
    ),
    published=Published(
        "MNIST and CIFAR-10 as figures only; on ImageNet, areas without, with over- and with under-sampling are "
        "99.4/99.4/96.9 (a tenth small, ratio 10), 96.3/95.1/95.0 (0.8, 50), 90.4/88.3/85.4 (0.9, 100; means of 3).",
        "MNIST with LeNet-5 (ratios 10 to 5,000, 50 repeats), CIFAR-10 with All-CNN, ImageNet with ResNet-10.",
        "confirmed",
        "text of the paper",
    ),
    arms={
        "baseline": Arm("erm"),
        "over-sampling": Arm("oversample"),
        "over-sampling part-way": Arm("oversample", {"ratio": 0.3}),
        "over-sampling, twice as long": Arm("oversample", changes={"longer": 2.0}),
        "under-sampling": Arm("undersample"),
        "under-sampling part-way": Arm("undersample", {"ratio": 0.3}),
        "two-phase, over": Arm("two_phase", {"first": "random_over"}),
        "two-phase, under": Arm("two_phase", {"first": "random_under"}),
        "thresholding": Arm("erm", after="thresholding"),
        "over-sampling + thresholding": Arm("oversample", after="thresholding"),
        "under-sampling + thresholding": Arm("undersample", after="thresholding"),
    },
    contrasts=(
        *(
            Contrast(
                f"{title}: balanced > ratio {r}",
                AUC,
                drop(title, "balanced", f"ratio {r}, half small"),
                part=FIRST,
            )
            for title in (*SETS, "digits")
            for r in (10, 100)
        ),
        Contrast(
            "the harder images lose more",
            AUC,
            drop("Fashion-MNIST", "balanced", "ratio 100, half small")
            + drop("MNIST", "balanced", "ratio 100, half small", -1.0),
            part=FIRST,
        ),
        greater("over-sampling > baseline", "over-sampling", "baseline", AUC, part=SECOND),
        greater("over-sampling > under-sampling", "over-sampling", "under-sampling", AUC, part=SECOND),
        greater("over-sampling > two-phase", "over-sampling", "two-phase, over", AUC, part=SECOND),
        greater("full > part-way, over", "over-sampling", "over-sampling part-way", AUC, part=THIRD),
        greater("part-way > full, under", "under-sampling part-way", "under-sampling", AUC, part=THIRD),
        greater(
            "twice as long is no worse",
            "over-sampling, twice as long",
            "over-sampling",
            AUC,
            0.005,
            part=FOURTH,
        ),
        greater("thresholding > baseline", "thresholding", "baseline", "accuracy", part=FIFTH),
        greater(
            "with over-sampling too", "over-sampling + thresholding", "over-sampling", "accuracy", part=FIFTH
        ),
    ),
    small=levels(SETS),
    full=levels(SETS, n_max=4000, updates=10_000),
    fallback=levels({"digits": "digits"}, n_max=100),
    only={f"{title}, balanced": ("baseline",) for title in (*SETS, "digits")},
    shown=(AUC, "accuracy", "few"),
    seeds=4,
    notes=(
        "Part-way sampling leaves the smallest class at 0.3 of the largest.",
        "The balanced level is the plain network's alone; small classes are drawn by the seed.",
        "Scores are the softmax; thresholding divides them by the class shares before any sampling, as in the paper, "
        "and leaves every area as it is.",
    ),
)
