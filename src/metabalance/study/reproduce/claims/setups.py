"""The set-ups that claims share; a claim changes what is its own."""

from metabalance.study.reproduce.base import Data, Setup, Training

# 1,240 images, 500 down to 5: counts of ten classes 500, 299, 179, 107, 64, 38, 23, 13, 8, 5.
FASHION_LT = Setup(Data("fashion-mnist", "long_tail", n_max=500, ratio=100))
# For arms that cost several times as much as plain training.
FASHION_LT_300 = FASHION_LT.but(n_max=300)
# One class of 500 images, drawn by the seed, and 5 of each other.
FASHION_SEVERE = Setup(Data("fashion-mnist", "one_vs_rest", n_max=500, ratio=100, order="random"))
# On data that ship with scikit-learn.
DIGITS_LT = Setup(
    Data("digits", "long_tail", n_max=100, ratio=50, order="random", validation=20, test=None),
    Training(epochs=40, batch_size=32),
)
# The long-tail papers' own: 200 epochs of a ResNet-32 on CIFAR-10. Theirs is 5,000 images of the largest class and
# steps of the learning rate; 100 images per class are kept here for choices, and a cosine takes the steps' place.
CIFAR_FULL = Setup(
    Data("cifar10", "long_tail", n_max=4900, ratio=100, validation=100, test=None),
    Training("resnet32", epochs=200, batch_size=128, lr=0.1, weight_decay=2e-4, augment=True),
)
CIFAR_STEP_FULL = CIFAR_FULL.but(profile="step")

SMALL = {"Fashion-MNIST-LT": FASHION_LT}
SMALLER = {"Fashion-MNIST-LT": FASHION_LT_300}
FALLBACK = {"digits-LT": DIGITS_LT}
FULL = {"CIFAR-10-LT": CIFAR_FULL}
