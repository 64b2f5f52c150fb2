"""What this release offers, method by method: who published it, where it acts, in which symbol it lives.

A plain table of facts that imports nothing heavy, so that ``metabalance methods`` and ``metabalance cite``
answer at once. The method index of the documentation is written from it.
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

__all__ = [
    "METHODS",
    "STAGES",
    "Method",
    "Paper",
    "UnknownName",
    "as_markdown",
    "bibtex",
    "get_method",
    "nearest",
]

STAGES = {
    "baseline": "What a remedy has to beat",
    "sample": "Which examples are seen",
    "loss": "What a mistake costs",
    "optimize": "How the parameters move",
    "adjust": "After training",
    "judge": "How well, and how sure",
}


class UnknownName(KeyError):
    """A name that is not in the table; the message is one sentence and gives the nearest names."""

    def __str__(self) -> str:
        # KeyError shows the repr of its argument, quotes and escapes included.
        return str(self.args[0])


@dataclass(frozen=True)
class Paper:
    """A publication; ``entry`` is its BibTeX type, ``venue`` its journal, conference or archive."""

    key: str
    title: str
    authors: tuple[str, ...]
    year: int
    venue: str
    entry: str = "inproceedings"
    volume: str | None = None
    pages: str | None = None
    arxiv: str | None = None
    doi: str | None = None

    @property
    def short(self) -> str:
        """Authors and year as in running text.

        >>> get_method("wilson").papers[0].short
        'Wilson 1927'
        """
        names = [author.rsplit(" ", 1)[-1] for author in self.authors]
        who = names[0] if len(names) == 1 else " & ".join(names) if len(names) == 2 else f"{names[0]} et al."
        return f"{who} {self.year}"

    @property
    def url(self) -> str | None:
        """The page on arXiv, else the DOI's, else None."""
        if self.arxiv:
            return f"https://arxiv.org/abs/{self.arxiv}"
        return f"https://doi.org/{self.doi}" if self.doi else None


@dataclass(frozen=True)
class Method:
    """One method of this release.

    ``title``, ``authors``, ``year``, ``venue``, ``arxiv`` and ``doi`` are those of the first paper.

    Args:
        name: The name on the command line.
        stage: One of ``STAGES``.
        what: What it does, in one plain sentence.
        papers: The paper it comes from, then those it also rests on.
        symbols: Where it lives, as ``"module:Name"``.
        recipe: Whether ``metabalance compare`` accepts the name; the classifier does too, baselines apart.
        modality: What it applies to: ``"any"``, ``"numeric"`` (points that can be interpolated or clustered)
            or ``"table"``.
        notes: What else one should know, a sentence each.
    """

    name: str
    stage: str
    what: str
    papers: tuple[Paper, ...]
    symbols: tuple[str, ...]
    recipe: bool = False
    modality: str = "any"
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return self.papers[0].title

    @property
    def authors(self) -> tuple[str, ...]:
        return self.papers[0].authors

    @property
    def year(self) -> int:
        return self.papers[0].year

    @property
    def venue(self) -> str:
        return self.papers[0].venue

    @property
    def arxiv(self) -> str | None:
        return self.papers[0].arxiv

    @property
    def doi(self) -> str | None:
        return self.papers[0].doi

    def as_dict(self) -> dict[str, Any]:
        """All of it, flat, ready for JSON."""
        names = ("name", "title", "stage", "authors", "year", "venue", "arxiv", "doi", "modality", "what")
        record = {key: getattr(self, key) for key in (*names, "recipe", "symbols", "notes")}
        return record | {"citations": tuple(paper.short for paper in self.papers)}


def get_method(name: str) -> Method:
    """The method of that name.

    Raises:
        UnknownName: No such method; the nearest names are given.

    >>> get_method("focal").papers[0].short
    'Lin et al. 2017'
    """
    if name not in _BY_NAME:
        near = nearest(name, _BY_NAME)
        hint = f"did you mean {' or '.join(near)}?" if near else "`metabalance methods` lists them all"
        raise UnknownName(f"the method {name!r} is unknown; {hint}")
    return _BY_NAME[name]


def nearest(name: str, candidates: Iterable[Any], limit: int = 3) -> list[str]:
    """The candidates that look most like ``name``, best first; none when nothing comes close.

    >>> nearest("Focall", ["erm", "focal", "smote"])
    ['focal']
    """
    by_key = {str(candidate).casefold(): str(candidate) for candidate in candidates}
    wanted = str(name).casefold()
    close = get_close_matches(wanted, by_key, n=limit, cutoff=0.6)
    # Names that are cut short ("balanced") are near in meaning but far in edits.
    parts = [key for key in by_key if len(wanted) > 2 and wanted in key]
    return [by_key[key] for key in dict.fromkeys(close + parts)][:limit]


def bibtex(name: str) -> str:
    """BibTeX entries, plain ASCII, of all the papers a method rests on.

    Raises:
        UnknownName: No such method.

    >>> print(bibtex("smote").splitlines()[0])
    @article{chawla2002smote,
    """
    return "\n\n".join(_entry(paper) for paper in get_method(name).papers)


def _entry(paper: Paper) -> str:
    place = {"article": "journal", "inproceedings": "booktitle", "misc": "howpublished"}[paper.entry]
    fields = {
        # The inner braces keep the title's capitals.
        "title": "{" + _latex(paper.title) + "}",
        "author": " and ".join(_latex(author) for author in paper.authors),
        place: _latex(paper.venue),
        "volume": paper.volume,
        "pages": paper.pages and paper.pages.replace("-", "--"),
        "year": str(paper.year),
        "doi": paper.doi,
        "eprint": paper.arxiv,
        "archiveprefix": paper.arxiv and "arXiv",
        "url": paper.url,
    }
    body = ",\n".join(f"  {field:<13} = {{{value}}}" for field, value in fields.items() if value)
    return f"@{paper.entry}{{{paper.key},\n{body}\n}}"


def _latex(text: str) -> str:
    """Escapes what TeX reads as a command, and writes accents as commands."""
    accents = {"\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0308": '"'}
    out: list[str] = []
    for char in unicodedata.normalize("NFD", text):
        if char in accents:
            out[-1] = f"{{\\{accents[char]}{out[-1]}}}"
        else:
            out.append(f"\\{char}" if char in "&%$#_" else char)
    return "".join(out)


def as_markdown() -> str:
    """The method index as Markdown: a table for each stage, in the order a training example meets them."""
    lines = [
        "# Methods",
        "",
        "Written by `metabalance methods --markdown`; do not edit. `metabalance compare` accepts the names",
        "with a star, and so does `MetaBalanceClassifier(recipe=...)`, except for the other models among the",
        "baselines.",
    ]
    for stage, meaning in STAGES.items():
        lines += ["", f"## {stage}: {meaning[0].lower()}{meaning[1:]}", ""]
        lines += ["| name | what it does | paper | in the code |", "|---|---|---|---|"]
        for method in METHODS:
            if method.stage == stage:
                papers = "; ".join(f"[{p.short}]({p.url})" if p.url else p.short for p in method.papers)
                where = ", ".join(f"`{symbol.replace(':', '.')}`" for symbol in method.symbols)
                star = " ★" if method.recipe else ""
                what = " ".join((method.what, *method.notes))
                lines.append(f"| `{method.name}`{star} | {what} | {papers} | {where} |")
    return "\n".join(lines)


# ----------------------------------------------------------------------------------------------- papers

_NEURIPS = "Advances in Neural Information Processing Systems"
_ICML = "International Conference on Machine Learning"
_ICLR = "International Conference on Learning Representations"
_JASA = "Journal of the American Statistical Association"


# fmt: off

_VAPNIK = Paper(
    "vapnik1991principles", "Principles of Risk Minimization for Learning Theory", ("Vladimir Vapnik",), 1991,
    _NEURIPS, volume="4", pages="831-838",
)
_COX = Paper(
    "cox1958regression", "The Regression Analysis of Binary Sequences", ("David R. Cox",), 1958,
    "Journal of the Royal Statistical Society: Series B", "article", "20", "215-242",
    doi="10.1111/j.2517-6161.1958.tb00292.x",
)
_KE = Paper(
    "ke2017lightgbm", "LightGBM: A Highly Efficient Gradient Boosting Decision Tree",
    (
        "Guolin Ke", "Qi Meng", "Thomas Finley", "Taifeng Wang", "Wei Chen", "Weidong Ma", "Qiwei Ye",
        "Tie-Yan Liu",
    ),
    2017, _NEURIPS, volume="30",
)
_CHEN = Paper(
    "chen2016xgboost", "XGBoost: A Scalable Tree Boosting System", ("Tianqi Chen", "Carlos Guestrin"), 2016,
    "ACM SIGKDD International Conference on Knowledge Discovery and Data Mining", pages="785-794",
    arxiv="1603.02754", doi="10.1145/2939672.2939785",
)
_KING = Paper(
    "king2001logistic", "Logistic Regression in Rare Events Data", ("Gary King", "Langche Zeng"), 2001,
    "Political Analysis", "article", "9", "137-163", doi="10.1093/oxfordjournals.pan.a004868",
)
_BUDA = Paper(
    "buda2018systematic",
    "A Systematic Study of the Class Imbalance Problem in Convolutional Neural Networks",
    ("Mateusz Buda", "Atsuto Maki", "Maciej A. Mazurowski"), 2018, "Neural Networks", "article", "106",
    "249-259", "1710.05381", "10.1016/j.neunet.2018.07.011",
)
_SHEN = Paper(
    "shen2016relay", "Relay Backpropagation for Effective Learning of Deep Convolutional Neural Networks",
    ("Li Shen", "Zhouchen Lin", "Qingming Huang"), 2016, "European Conference on Computer Vision",
    arxiv="1512.05830", doi="10.1007/978-3-319-46478-7_29",
)
_KANG = Paper(
    "kang2020decoupling", "Decoupling Representation and Classifier for Long-Tailed Recognition",
    (
        "Bingyi Kang", "Saining Xie", "Marcus Rohrbach", "Zhicheng Yan", "Albert Gordo", "Jiashi Feng",
        "Yannis Kalantidis",
    ),
    2020, _ICLR, arxiv="1910.09217",
)
_CHAWLA = Paper(
    "chawla2002smote", "SMOTE: Synthetic Minority Over-sampling Technique",
    ("Nitesh V. Chawla", "Kevin W. Bowyer", "Lawrence O. Hall", "W. Philip Kegelmeyer"), 2002,
    "Journal of Artificial Intelligence Research", "article", "16", "321-357", "1106.1813",
    "10.1613/jair.953",
)
_HAN = Paper(
    "han2005borderline", "Borderline-SMOTE: A New Over-Sampling Method in Imbalanced Data Sets Learning",
    ("Hui Han", "Wen-Yuan Wang", "Bing-Huan Mao"), 2005,
    "Advances in Intelligent Computing (International Conference on Intelligent Computing)", pages="878-887",
    doi="10.1007/11538059_91",
)
_NGUYEN = Paper(
    "nguyen2011borderline", "Borderline Over-Sampling for Imbalanced Data Classification",
    ("Hien M. Nguyen", "Eric W. Cooper", "Katsuari Kamei"), 2011,
    "International Journal of Knowledge Engineering and Soft Data Paradigms", "article", "3", "4-21",
    doi="10.1504/IJKESDP.2011.039875",
)
_HE = Paper(
    "he2008adasyn", "ADASYN: Adaptive Synthetic Sampling Approach for Imbalanced Learning",
    ("Haibo He", "Yang Bai", "Edwardo A. Garcia", "Shutao Li"), 2008,
    "IEEE International Joint Conference on Neural Networks", pages="1322-1328",
    doi="10.1109/IJCNN.2008.4633969",
)
_LIN_WC = Paper(
    "lin2017clustering", "Clustering-Based Undersampling in Class-Imbalanced Data",
    ("Wei-Chao Lin", "Chih-Fong Tsai", "Ya-Han Hu", "Jing-Shang Jhang"), 2017, "Information Sciences",
    "article", "409-410", "17-26", doi="10.1016/j.ins.2017.05.008",
)
_ZHANG = Paper(
    "zhang2003knn",
    "kNN Approach to Unbalanced Data Distributions: A Case Study Involving Information Extraction",
    ("Jianping Zhang", "Inderjeet Mani"), 2003, "ICML Workshop on Learning from Imbalanced Datasets",
)
_TOMEK = Paper(
    "tomek1976experiment", "An Experiment with the Edited Nearest-Neighbor Rule", ("Ivan Tomek",), 1976,
    "IEEE Transactions on Systems, Man, and Cybernetics", "article", "SMC-6", "448-452",
    doi="10.1109/TSMC.1976.4309523",
)
_BATISTA = Paper(
    "batista2004study",
    "A Study of the Behavior of Several Methods for Balancing Machine Learning Training Data",
    ("Gustavo E. A. P. A. Batista", "Ronaldo C. Prati", "Maria Carolina Monard"), 2004,
    "ACM SIGKDD Explorations Newsletter", "article", "6", "20-29", doi="10.1145/1007730.1007735",
)
_LIN = Paper(
    "lin2017focal", "Focal Loss for Dense Object Detection",
    ("Tsung-Yi Lin", "Priya Goyal", "Ross Girshick", "Kaiming He", "Piotr Dollár"), 2017,
    "IEEE International Conference on Computer Vision", arxiv="1708.02002", doi="10.1109/ICCV.2017.324",
)
_CUI = Paper(
    "cui2019class", "Class-Balanced Loss Based on Effective Number of Samples",
    ("Yin Cui", "Menglin Jia", "Tsung-Yi Lin", "Yang Song", "Serge Belongie"), 2019,
    "IEEE/CVF Conference on Computer Vision and Pattern Recognition", arxiv="1901.05555",
    doi="10.1109/CVPR.2019.00949",
)
_MENON = Paper(
    "menon2021long", "Long-Tail Learning via Logit Adjustment",
    (
        "Aditya Krishna Menon", "Sadeep Jayasumana", "Ankit Singh Rawat", "Himanshu Jain", "Andreas Veit",
        "Sanjiv Kumar",
    ),
    2021, _ICLR, arxiv="2007.07314",
)
_REN = Paper(
    "ren2020balanced", "Balanced Meta-Softmax for Long-Tailed Visual Recognition",
    (
        "Jiawei Ren", "Cunjun Yu", "Shunan Sheng", "Xiao Ma", "Haiyu Zhao", "Shuai Yi", "Hongsheng Li",
    ),
    2020, _NEURIPS, volume="33", arxiv="2007.10740",
)
_BANSAL = Paper(
    "bansal2021metabalance", "MetaBalance: High-Performance Neural Networks for Class-Imbalanced Data",
    (
        "Arpit Bansal", "Micah Goldblum", "Valeriia Cherepanova", "Avi Schwarzschild", "C. Bayan Bruss",
        "Tom Goldstein",
    ),
    2021, "arXiv preprint", "misc", arxiv="2106.09643",
)
_SAERENS = Paper(
    "saerens2002adjusting",
    "Adjusting the Outputs of a Classifier to New a Priori Probabilities: A Simple Procedure",
    ("Marco Saerens", "Patrice Latinne", "Christine Decaestecker"), 2002, "Neural Computation", "article",
    "14", "21-41", doi="10.1162/089976602753284446",
)
_ELKAN = Paper(
    "elkan2001foundations", "The Foundations of Cost-Sensitive Learning", ("Charles Elkan",), 2001,
    "International Joint Conference on Artificial Intelligence", pages="973-978",
)
_ALEXANDARI = Paper(
    "alexandari2020maximum",
    "Maximum Likelihood with Bias-Corrected Calibration is Hard-To-Beat at Label Shift Adaptation",
    ("Amr Alexandari", "Anshul Kundaje", "Avanti Shrikumar"), 2020, _ICML, arxiv="1901.06852",
)
_GUO = Paper(
    "guo2017calibration", "On Calibration of Modern Neural Networks",
    ("Chuan Guo", "Geoff Pleiss", "Yu Sun", "Kilian Q. Weinberger"), 2017, _ICML, arxiv="1706.04599",
)
_SHENG = Paper(
    "sheng2006thresholding", "Thresholding for Making Classifiers Cost-Sensitive",
    ("Victor S. Sheng", "Charles X. Ling"), 2006, "AAAI Conference on Artificial Intelligence",
    pages="476-481",
)
_NADEAU = Paper(
    "nadeau2003inference", "Inference for the Generalization Error", ("Claude Nadeau", "Yoshua Bengio"), 2003,
    "Machine Learning", "article", "52", "239-281", doi="10.1023/A:1024068626366",
)
_DELONG = Paper(
    "delong1988comparing",
    "Comparing the Areas under Two or More Correlated Receiver Operating Characteristic Curves: "
    "A Nonparametric Approach",
    ("Elizabeth R. DeLong", "David M. DeLong", "Daniel L. Clarke-Pearson"), 1988, "Biometrics", "article",
    "44", "837-845", doi="10.2307/2531595",
)
_SUN = Paper(
    "sun2014fast",
    "Fast Implementation of DeLong's Algorithm for Comparing the Areas Under Correlated Receiver Operating "
    "Characteristic Curves",
    ("Xu Sun", "Weichao Xu"), 2014, "IEEE Signal Processing Letters", "article", "21", "1389-1393",
    doi="10.1109/LSP.2014.2337313",
)
_WILSON = Paper(
    "wilson1927probable", "Probable Inference, the Law of Succession, and Statistical Inference",
    ("Edwin B. Wilson",), 1927, _JASA, "article", "22", "209-212", doi="10.1080/01621459.1927.10502953",
)
_EFRON = Paper(
    "efron1987better", "Better Bootstrap Confidence Intervals", ("Bradley Efron",), 1987, _JASA, "article",
    "82", "171-185", doi="10.1080/01621459.1987.10478410",
)
_HOLM = Paper(
    "holm1979simple", "A Simple Sequentially Rejective Multiple Test Procedure", ("Sture Holm",), 1979,
    "Scandinavian Journal of Statistics", "article", "6", "65-70",
)
_MCNEMAR = Paper(
    "mcnemar1947note",
    "Note on the Sampling Error of the Difference Between Correlated Proportions or Percentages",
    ("Quinn McNemar",), 1947, "Psychometrika", "article", "12", "153-157", doi="10.1007/BF02295996",
)
# fmt: on


# ---------------------------------------------------------------------------------------------- methods


def _recipe(
    name: str, stage: str, what: str, papers: tuple[Paper, ...], *symbols: str, **more: Any
) -> Method:
    return Method(name, stage, what, papers, (*symbols, f"metabalance.recipes:{name}"), recipe=True, **more)


def _resampler(
    name: str, what: str, *papers: Paper, recipe: bool = True, modality: str = "numeric"
) -> Method:
    return Method(name, "sample", what, papers, ("metabalance.sample:resample",), recipe, modality)


# fmt: off
METHODS: tuple[Method, ...] = (
    _recipe(
        "erm", "baseline",
        "Plain training on the rows as they come: the untouched baseline all remedies are measured against.",
        (_VAPNIK,),
    ),
    Method(
        "logistic", "baseline",
        "Logistic regression: a linear model that small tables are often served best by.", (_COX,),
        ("sklearn.linear_model:LogisticRegression",), recipe=True, modality="table",
    ),
    Method(
        "lightgbm", "baseline", "Gradient-boosted trees grown leaf by leaf on histograms.", (_KE,),
        ("lightgbm:LGBMClassifier",), recipe=True, modality="table", notes=("Needs the `trees` extra.",),
    ),
    Method(
        "xgboost", "baseline", "Gradient-boosted trees with a regularised second-order objective.", (_CHEN,),
        ("xgboost:XGBClassifier",), recipe=True, modality="table", notes=("Needs the `trees` extra.",),
    ),
    _recipe(
        "oversample", "sample",
        "Repeats random rows of the smaller classes until all classes are as large as the largest.", (_BUDA,),
        "metabalance.sample:OverSampler",
    ),
    _recipe(
        "undersample", "sample",
        "Shows only as many rows of each class as the smallest has, a fresh random subset at each pass.",
        (_BUDA,), "metabalance.sample:UnderSampler",
    ),
    _recipe(
        "balanced_batches", "sample",
        "Draws classes in strict rotation, so that every batch holds them in equal shares.", (_SHEN,),
        "metabalance.sample:ClassBalancedSampler",
    ),
    _recipe(
        "square_root", "sample",
        "Draws a class in proportion to the root of its size: halfway between natural and balanced.",
        (_KANG,), "metabalance.sample:PowerSampler",
    ),
    _resampler(
        "random_over", "Repeats random rows of the smaller classes once, before training starts.", _BUDA,
        recipe=False, modality="any",
    ),
    _resampler(
        "random_under", "Drops random rows of the larger classes once, before training starts.", _BUDA,
        recipe=False, modality="any",
    ),
    _resampler(
        "smote", "Adds points on the lines between neighbours of the same small class.", _CHAWLA,
    ),
    _resampler(
        "borderline_smote", "SMOTE that starts only from points near rows of other classes.", _HAN,
    ),
    _resampler(
        "svm_smote", "SMOTE that starts from a support vector machine's support vectors.", _NGUYEN,
    ),
    _resampler(
        "adasyn", "SMOTE that adds more points where neighbours of other classes are more numerous.", _HE,
    ),
    _resampler(
        "cluster_centroids", "Replaces the rows of a large class by k-means centres.", _LIN_WC,
    ),
    _resampler(
        "near_miss", "Keeps the rows of a large class that lie nearest to the rows of the smallest.", _ZHANG,
    ),
    _resampler(
        "all_knn", "Drops rows of large classes that their neighbours would misclassify.", _TOMEK,
    ),
    _resampler(
        "smote_enn", "SMOTE, then drops the rows that their neighbours would misclassify.", _BATISTA, _CHAWLA,
    ),
    _recipe(
        "class_weight", "loss",
        "Multiplies each row's loss by a weight of its class, by default inverse to the class's size.",
        (_KING,), "metabalance.counts:class_weights",
    ),
    _recipe(
        "focal", "loss", "Lets rows that are already predicted well count for little.", (_LIN,),
        "metabalance.loss:FocalLoss",
    ),
    _recipe(
        "class_balanced", "loss",
        "Weights classes by the inverse effective number of samples, which saturates as they grow.", (_CUI,),
        "metabalance.loss:ClassBalancedLoss",
    ),
    _recipe(
        "logit_adjustment", "loss",
        "Adds the log class prior to the logits in training: rare classes must win by larger margins.",
        (_MENON,), "metabalance.loss:LogitAdjustedLoss",
    ),
    _recipe(
        "balanced_softmax", "loss",
        "Adds the log class counts to the logits in training: logit adjustment with tau 1.", (_REN,),
        "metabalance.loss:BalancedSoftmaxLoss",
    ),
    _recipe(
        "metabalance", "optimize",
        "Takes a look-ahead step on one balancing of the data and moves so that it does well on another.",
        (_BANSAL,), "metabalance.optimize:MetaBalance", "metabalance.optimize:MetaBalanceStep",
        notes=(
            "Published presets: credit_card, loan_default, cifar and faces.",
            "Not the method of the same name for multi-task recommendation.",
        ),
    ),
    Method(
        "posthoc_logit_adjustment", "adjust",
        "Subtracts a multiple of the log class prior from a trained model's logits.", (_MENON,),
        ("metabalance.adjust:PosthocLogitAdjustment",),
    ),
    Method(
        "prior_shift", "adjust", "Moves probabilities from the class shares of training to those of use.",
        (_SAERENS, _ELKAN), ("metabalance.adjust.prior:shift_prior",),
    ),
    Method(
        "calibrator", "adjust",
        "Fits one temperature and one bias per class, so that probabilities agree with frequencies.",
        (_ALEXANDARI, _GUO), ("metabalance.adjust.calibrate:Calibrator",),
    ),
    Method(
        "threshold", "adjust",
        "Chooses where to cut the probability, for a metric or for the cost of each kind of mistake.",
        (_ELKAN, _SHENG), ("metabalance.adjust.threshold:choose_threshold",),
    ),
    Method(
        "corrected_resampled_t", "judge",
        "A t interval and test over folds and seeds that allows for their shared training rows.", (_NADEAU,),
        (
            "metabalance.judge.intervals:corrected_resampled_interval",
            "metabalance.judge.paired:paired_difference",
        ),
    ),
    Method(
        "delong", "judge", "A closed-form interval for the area under the ROC curve.", (_DELONG, _SUN),
        ("metabalance.judge.intervals:delong_interval",),
    ),
    Method(
        "wilson", "judge",
        "An interval for a proportion that stays sensible near 0, near 1 and for few rows.", (_WILSON,),
        ("metabalance.judge.intervals:wilson_interval",),
    ),
    Method(
        "bca", "judge", "A bootstrap interval corrected for bias and skewness, for any metric.", (_EFRON,),
        ("metabalance.judge.intervals:bootstrap_interval",),
    ),
    Method(
        "holm", "judge", "Adjusts p-values when several recipes are tested at once.", (_HOLM,),
        ("metabalance.judge.paired:holm",),
    ),
    Method(
        "mcnemar", "judge", "An exact test on the rows that only one of two classifiers gets right.",
        (_MCNEMAR,), ("metabalance.judge.paired:mcnemar",),
    ),
)
# fmt: on

_BY_NAME = {method.name: method for method in METHODS}
