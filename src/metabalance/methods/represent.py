"""Where examples land in the space of features: the methods of this stage, in the order in which they are listed."""

from metabalance.methods import papers
from metabalance.methods.base import Method, recipe, value_recipe

__all__ = ["METHODS"]

# fmt: off
METHODS: tuple[Method, ...] = (
    recipe(
        "supcon", "represent", "Pulls rows of one class together and pushes all others away.", (papers.KHOSLA,),
        "metabalance.represent:SupConLoss",
    ),
    recipe(
        "balanced_supcon", "represent",
        "Contrasts rows so that every class pushes as hard as any other, however many rows a batch holds of it.",
        (papers.ZHU,), "metabalance.represent:BalancedSupConLoss",
        notes=("Prototypes are free parameters, the authors' come from the classifier's weights.",),
    ),
    Method(
        "separation", "represent", "Drives the classes apart in the features of adversarial examples.",
        (papers.WANG_W, papers.KHOSLA), ("metabalance.represent:SeparationLoss",),
        notes=("The authors published no code: the form of the loss and its temperature are unconfirmed.",),
    ),
    recipe(
        "joint_ssl", "represent", "Trains on labels and, from the start, on two views of a row that should agree.",
        (papers.SHWARTZ_ZIV, papers.BARDES, papers.CHEN_T), "metabalance.represent:VICRegLoss",
        "metabalance.represent:NTXentLoss",
        notes=("Which self-supervised loss the paper adds, and with what coefficient, is unconfirmed.",),
    ),
    recipe(
        "rotation_pretraining", "represent", "Learns to tell how an image was rotated before it sees a label.",
        (papers.YANG, papers.GIDARIS), "metabalance.represent:RotationTransform",
        "metabalance.represent:rotate_batch", notes=("For images only.",),
    ),
    recipe(
        "moco_pretraining", "represent",
        "Learns to find a row's other view among thousands before it sees a label.",
        (papers.YANG, papers.HE_K, papers.CHEN_X, papers.BAHRI), "metabalance.represent:MoCoStep",
        notes=("On tables a view is a row with some values replaced by other rows'.",),
    ),
    recipe(
        "self_training", "represent",
        "Lets a first network label unlabelled rows and trains a second on all of them.", (papers.YANG,),
        "metabalance.represent:pseudo_labels",
        notes=("Needs unlabelled rows, and does harm if they are of other classes.",),
    ),
    value_recipe(
        "conr", "represent",
        "Pushes rows with different target values apart where the model still confuses them, the harder the rarer.",
        (papers.KERAMATI,), "metabalance.represent:ConRLoss",
        notes=("Takes the predictions too, and two views of each row.",),
    ),
    value_recipe(
        "ranksim", "represent", "Ranks a row's neighbours in features as its neighbours in target values are ranked.",
        (papers.GONG,), "metabalance.represent:RankSimLoss",
    ),
    value_recipe(
        "fds", "represent",
        "Gives features of rare target values the mean and the spread of their neighbourhood of values.",
        (papers.YANG_DIR,), "metabalance.represent:FeatureDistributionSmoothing", "metabalance.densities:bin_index",
    ),
    value_recipe(
        "lds_fds", "represent", "Weighs rows by label density smoothing and smooths their features, both as published.",
        (papers.YANG_DIR,), "metabalance.represent:FeatureDistributionSmoothing",
        "metabalance.weigh:label_density_weights",
    ),
)
# fmt: on
