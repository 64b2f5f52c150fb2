"""How the parameters move: the methods of this stage, in the order in which they are listed."""

from metabalance.methods import papers
from metabalance.methods.base import Method, recipe

__all__ = ["METHODS"]

# fmt: off
METHODS: tuple[Method, ...] = (
    recipe(
        "metabalance", "optimize",
        "Takes a look-ahead step on one balancing of the data and moves so that it does well on another.",
        (papers.BANSAL,), "metabalance.optimize:MetaBalance", "metabalance.optimize:MetaBalanceStep",
        "metabalance.recipes.regression:metabalance", kinds=("classes", "values"),
        notes=(
            "Published presets: credit_card, loan_default, cifar and faces.",
            "For a continuous target it is our extension: the look-ahead is judged on rows drawn evenly over the bins.",
            "Not the method of the same name for multi-task recommendation.",
        ),
    ),
    recipe(
        "sam", "optimize", "Steps by the gradient at the worst point nearby, so that minima come out flat.",
        (papers.FORET,), "metabalance.optimize:SAM", "metabalance.optimize:perturbed",
    ),
    recipe(
        "asam", "optimize", "Sharpness-aware minimisation in a neighbourhood measured relative to each weight.",
        (papers.KWON, papers.FORET), "metabalance.optimize:SAM",
    ),
    recipe(
        "sam_a", "optimize",
        "Sharpness-aware minimisation that seeks the worst point for the rare classes above all.",
        (papers.SHWARTZ_ZIV, papers.FORET), "metabalance.optimize:AsymmetricSAM",
        notes=("The mode per_class_radius is a reading of the paper's words, not its code.",),
    ),
    recipe(
        "drw", "optimize", "Gives rare classes their weight only in the last part of training.",
        (papers.CAO, papers.CUI), "metabalance.optimize:DeferredReweighting",
    ),
    recipe(
        "drs", "optimize", "Turns to class-balanced batches only in the last part of training.", (papers.CAO,),
        "metabalance.optimize:DeferredSampler",
    ),
    recipe(
        "two_phase", "optimize",
        "Trains on re-sampled data, then the last layer alone on all data as they come.", (papers.BUDA,),
    ),
    recipe(
        "adversarial", "optimize", "Trains on the worst neighbours of each row instead of the row itself.",
        (papers.MADRY,), "metabalance.optimize:PGDAttack", "metabalance.optimize:AdversarialStep",
        modality="numeric",
    ),
    recipe(
        "srat", "optimize",
        "Adversarial training with deferred class weights, in features in which classes are driven apart.",
        (papers.WANG_W, papers.MADRY, papers.CAO), "metabalance.optimize:AdversarialStep",
        "metabalance.represent:SeparationLoss", modality="numeric",
        notes=("After the paper's description: the authors published no code, and several amounts are ours.",),
    ),
    recipe(
        "simplified", "optimize",
        "Ordinary training with small batches, augmentation, label smoothing and asymmetric SAM.",
        (papers.SHWARTZ_ZIV,), "metabalance.optimize:AsymmetricSAM",
    ),
)
# fmt: on
