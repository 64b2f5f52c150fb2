"""What a remedy has to beat: the methods of this stage, in the order in which they are listed."""

from metabalance.methods import papers
from metabalance.methods.base import Method, recipe, value_recipe

__all__ = ["METHODS"]

# fmt: off
METHODS: tuple[Method, ...] = (
    recipe(
        "erm", "baseline",
        "Plain training on the rows as they come: the untouched baseline all remedies are measured against.",
        (papers.VAPNIK,), "metabalance.recipes.regression:erm", kinds=("classes", "values"),
    ),
    value_recipe("l1", "baseline", "Plain training on the absolute error, whose optimum is the median.", (papers.KOENKER,)),
    value_recipe(
        "huber", "baseline", "Plain training on an error that is squared while small, and absolute beyond.", (papers.HUBER,),
    ),
    Method(
        "logistic", "baseline",
        "Logistic regression: a linear model that small tables are often served best by.", (papers.COX,),
        ("sklearn.linear_model:LogisticRegression",), recipe=True, modality="table",
    ),
    Method(
        "dummy", "baseline", "The mean of the training targets for every row: what an R² of 0 is.", (papers.DUNN,),
        ("sklearn.dummy:DummyRegressor",), recipe=True, kinds=("values",),
        notes=("MatBench holds every model against it.",),
    ),
    Method(
        "ridge", "baseline", "Linear regression with a penalty on the coefficients, of one target or several.",
        (papers.HOERL,), ("sklearn.linear_model:Ridge",), recipe=True, modality="table", kinds=("values",),
    ),
    Method(
        "lightgbm", "baseline", "Gradient-boosted trees grown leaf by leaf on histograms.", (papers.KE,),
        ("lightgbm:LGBMClassifier", "lightgbm:LGBMRegressor"), recipe=True, modality="table",
        kinds=("classes", "values"), notes=("Needs the `trees` extra.",),
    ),
    Method(
        "xgboost", "baseline", "Gradient-boosted trees with a regularised second-order objective.", (papers.CHEN,),
        ("xgboost:XGBClassifier", "xgboost:XGBRegressor"), recipe=True, modality="table",
        kinds=("classes", "values"), notes=("Needs the `trees` extra.",),
    ),
)
# fmt: on
