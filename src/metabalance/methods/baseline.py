"""What a remedy has to beat: the methods of this stage, in the order in which they are listed."""

from metabalance.methods import papers
from metabalance.methods.base import Method, recipe

__all__ = ["METHODS"]

# fmt: off
METHODS: tuple[Method, ...] = (
    recipe(
        "erm", "baseline",
        "Plain training on the rows as they come: the untouched baseline all remedies are measured against.",
        (papers.VAPNIK,),
    ),
    Method(
        "logistic", "baseline",
        "Logistic regression: a linear model that small tables are often served best by.", (papers.COX,),
        ("sklearn.linear_model:LogisticRegression",), recipe=True, modality="table",
    ),
    Method(
        "lightgbm", "baseline", "Gradient-boosted trees grown leaf by leaf on histograms.", (papers.KE,),
        ("lightgbm:LGBMClassifier",), recipe=True, modality="table", notes=("Needs the `trees` extra.",),
    ),
    Method(
        "xgboost", "baseline", "Gradient-boosted trees with a regularised second-order objective.", (papers.CHEN,),
        ("xgboost:XGBClassifier",), recipe=True, modality="table", notes=("Needs the `trees` extra.",),
    ),
)
# fmt: on
