"""The papers that several entries of the table rest on, and the venues' names."""

from metabalance.methods.base import Paper

NEURIPS = "Advances in Neural Information Processing Systems"
ICML = "International Conference on Machine Learning"
ICLR = "International Conference on Learning Representations"
JASA = "Journal of the American Statistical Association"


# fmt: off

VAPNIK = Paper(
    "vapnik1991principles", "Principles of Risk Minimization for Learning Theory", ("Vladimir Vapnik",), 1991,
    NEURIPS, volume="4", pages="831-838",
)
COX = Paper(
    "cox1958regression", "The Regression Analysis of Binary Sequences", ("David R. Cox",), 1958,
    "Journal of the Royal Statistical Society: Series B", "article", "20", "215-242",
    doi="10.1111/j.2517-6161.1958.tb00292.x",
)
KE = Paper(
    "ke2017lightgbm", "LightGBM: A Highly Efficient Gradient Boosting Decision Tree",
    (
        "Guolin Ke", "Qi Meng", "Thomas Finley", "Taifeng Wang", "Wei Chen", "Weidong Ma", "Qiwei Ye",
        "Tie-Yan Liu",
    ),
    2017, NEURIPS, volume="30",
)
CHEN = Paper(
    "chen2016xgboost", "XGBoost: A Scalable Tree Boosting System", ("Tianqi Chen", "Carlos Guestrin"), 2016,
    "ACM SIGKDD International Conference on Knowledge Discovery and Data Mining", pages="785-794",
    arxiv="1603.02754", doi="10.1145/2939672.2939785",
)
KING = Paper(
    "king2001logistic", "Logistic Regression in Rare Events Data", ("Gary King", "Langche Zeng"), 2001,
    "Political Analysis", "article", "9", "137-163", doi="10.1093/oxfordjournals.pan.a004868",
)
BUDA = Paper(
    "buda2018systematic",
    "A Systematic Study of the Class Imbalance Problem in Convolutional Neural Networks",
    ("Mateusz Buda", "Atsuto Maki", "Maciej A. Mazurowski"), 2018, "Neural Networks", "article", "106",
    "249-259", "1710.05381", "10.1016/j.neunet.2018.07.011",
)
SHEN = Paper(
    "shen2016relay", "Relay Backpropagation for Effective Learning of Deep Convolutional Neural Networks",
    ("Li Shen", "Zhouchen Lin", "Qingming Huang"), 2016, "European Conference on Computer Vision",
    arxiv="1512.05830", doi="10.1007/978-3-319-46478-7_29",
)
KANG = Paper(
    "kang2020decoupling", "Decoupling Representation and Classifier for Long-Tailed Recognition",
    (
        "Bingyi Kang", "Saining Xie", "Marcus Rohrbach", "Zhicheng Yan", "Albert Gordo", "Jiashi Feng",
        "Yannis Kalantidis",
    ),
    2020, ICLR, arxiv="1910.09217",
)
CHAWLA = Paper(
    "chawla2002smote", "SMOTE: Synthetic Minority Over-sampling Technique",
    ("Nitesh V. Chawla", "Kevin W. Bowyer", "Lawrence O. Hall", "W. Philip Kegelmeyer"), 2002,
    "Journal of Artificial Intelligence Research", "article", "16", "321-357", "1106.1813",
    "10.1613/jair.953",
)
HAN = Paper(
    "han2005borderline", "Borderline-SMOTE: A New Over-Sampling Method in Imbalanced Data Sets Learning",
    ("Hui Han", "Wen-Yuan Wang", "Bing-Huan Mao"), 2005,
    "Advances in Intelligent Computing (International Conference on Intelligent Computing)", pages="878-887",
    doi="10.1007/11538059_91",
)
NGUYEN = Paper(
    "nguyen2011borderline", "Borderline Over-Sampling for Imbalanced Data Classification",
    ("Hien M. Nguyen", "Eric W. Cooper", "Katsuari Kamei"), 2011,
    "International Journal of Knowledge Engineering and Soft Data Paradigms", "article", "3", "4-21",
    doi="10.1504/IJKESDP.2011.039875",
)
HE = Paper(
    "he2008adasyn", "ADASYN: Adaptive Synthetic Sampling Approach for Imbalanced Learning",
    ("Haibo He", "Yang Bai", "Edwardo A. Garcia", "Shutao Li"), 2008,
    "IEEE International Joint Conference on Neural Networks", pages="1322-1328",
    doi="10.1109/IJCNN.2008.4633969",
)
LIN_WC = Paper(
    "lin2017clustering", "Clustering-Based Undersampling in Class-Imbalanced Data",
    ("Wei-Chao Lin", "Chih-Fong Tsai", "Ya-Han Hu", "Jing-Shang Jhang"), 2017, "Information Sciences",
    "article", "409-410", "17-26", doi="10.1016/j.ins.2017.05.008",
)
ZHANG = Paper(
    "zhang2003knn",
    "kNN Approach to Unbalanced Data Distributions: A Case Study Involving Information Extraction",
    ("Jianping Zhang", "Inderjeet Mani"), 2003, "ICML Workshop on Learning from Imbalanced Datasets",
)
TOMEK = Paper(
    "tomek1976experiment", "An Experiment with the Edited Nearest-Neighbor Rule", ("Ivan Tomek",), 1976,
    "IEEE Transactions on Systems, Man, and Cybernetics", "article", "SMC-6", "448-452",
    doi="10.1109/TSMC.1976.4309523",
)
BATISTA = Paper(
    "batista2004study",
    "A Study of the Behavior of Several Methods for Balancing Machine Learning Training Data",
    ("Gustavo E. A. P. A. Batista", "Ronaldo C. Prati", "Maria Carolina Monard"), 2004,
    "ACM SIGKDD Explorations Newsletter", "article", "6", "20-29", doi="10.1145/1007730.1007735",
)
LIN = Paper(
    "lin2017focal", "Focal Loss for Dense Object Detection",
    ("Tsung-Yi Lin", "Priya Goyal", "Ross Girshick", "Kaiming He", "Piotr Dollár"), 2017,
    "IEEE International Conference on Computer Vision", arxiv="1708.02002", doi="10.1109/ICCV.2017.324",
)
CUI = Paper(
    "cui2019class", "Class-Balanced Loss Based on Effective Number of Samples",
    ("Yin Cui", "Menglin Jia", "Tsung-Yi Lin", "Yang Song", "Serge Belongie"), 2019,
    "IEEE/CVF Conference on Computer Vision and Pattern Recognition", arxiv="1901.05555",
    doi="10.1109/CVPR.2019.00949",
)
MENON = Paper(
    "menon2021long", "Long-Tail Learning via Logit Adjustment",
    (
        "Aditya Krishna Menon", "Sadeep Jayasumana", "Ankit Singh Rawat", "Himanshu Jain", "Andreas Veit",
        "Sanjiv Kumar",
    ),
    2021, ICLR, arxiv="2007.07314",
)
REN = Paper(
    "ren2020balanced", "Balanced Meta-Softmax for Long-Tailed Visual Recognition",
    (
        "Jiawei Ren", "Cunjun Yu", "Shunan Sheng", "Xiao Ma", "Haiyu Zhao", "Shuai Yi", "Hongsheng Li",
    ),
    2020, NEURIPS, volume="33", arxiv="2007.10740",
)
BANSAL = Paper(
    "bansal2021metabalance", "MetaBalance: High-Performance Neural Networks for Class-Imbalanced Data",
    (
        "Arpit Bansal", "Micah Goldblum", "Valeriia Cherepanova", "Avi Schwarzschild", "C. Bayan Bruss",
        "Tom Goldstein",
    ),
    2021, "arXiv preprint", "misc", arxiv="2106.09643",
)
SAERENS = Paper(
    "saerens2002adjusting",
    "Adjusting the Outputs of a Classifier to New a Priori Probabilities: A Simple Procedure",
    ("Marco Saerens", "Patrice Latinne", "Christine Decaestecker"), 2002, "Neural Computation", "article",
    "14", "21-41", doi="10.1162/089976602753284446",
)
ELKAN = Paper(
    "elkan2001foundations", "The Foundations of Cost-Sensitive Learning", ("Charles Elkan",), 2001,
    "International Joint Conference on Artificial Intelligence", pages="973-978",
)
ALEXANDARI = Paper(
    "alexandari2020maximum",
    "Maximum Likelihood with Bias-Corrected Calibration is Hard-To-Beat at Label Shift Adaptation",
    ("Amr Alexandari", "Anshul Kundaje", "Avanti Shrikumar"), 2020, ICML, arxiv="1901.06852",
)
GUO = Paper(
    "guo2017calibration", "On Calibration of Modern Neural Networks",
    ("Chuan Guo", "Geoff Pleiss", "Yu Sun", "Kilian Q. Weinberger"), 2017, ICML, arxiv="1706.04599",
)
SHENG = Paper(
    "sheng2006thresholding", "Thresholding for Making Classifiers Cost-Sensitive",
    ("Victor S. Sheng", "Charles X. Ling"), 2006, "AAAI Conference on Artificial Intelligence",
    pages="476-481",
)
NADEAU = Paper(
    "nadeau2003inference", "Inference for the Generalization Error", ("Claude Nadeau", "Yoshua Bengio"), 2003,
    "Machine Learning", "article", "52", "239-281", doi="10.1023/A:1024068626366",
)
DELONG = Paper(
    "delong1988comparing",
    "Comparing the Areas under Two or More Correlated Receiver Operating Characteristic Curves: "
    "A Nonparametric Approach",
    ("Elizabeth R. DeLong", "David M. DeLong", "Daniel L. Clarke-Pearson"), 1988, "Biometrics", "article",
    "44", "837-845", doi="10.2307/2531595",
)
SUN = Paper(
    "sun2014fast",
    "Fast Implementation of DeLong's Algorithm for Comparing the Areas Under Correlated Receiver Operating "
    "Characteristic Curves",
    ("Xu Sun", "Weichao Xu"), 2014, "IEEE Signal Processing Letters", "article", "21", "1389-1393",
    doi="10.1109/LSP.2014.2337313",
)
WILSON = Paper(
    "wilson1927probable", "Probable Inference, the Law of Succession, and Statistical Inference",
    ("Edwin B. Wilson",), 1927, JASA, "article", "22", "209-212", doi="10.1080/01621459.1927.10502953",
)
EFRON = Paper(
    "efron1987better", "Better Bootstrap Confidence Intervals", ("Bradley Efron",), 1987, JASA, "article",
    "82", "171-185", doi="10.1080/01621459.1987.10478410",
)
HOLM = Paper(
    "holm1979simple", "A Simple Sequentially Rejective Multiple Test Procedure", ("Sture Holm",), 1979,
    "Scandinavian Journal of Statistics", "article", "6", "65-70",
)
MCNEMAR = Paper(
    "mcnemar1947note",
    "Note on the Sampling Error of the Difference Between Correlated Proportions or Percentages",
    ("Quinn McNemar",), 1947, "Psychometrika", "article", "12", "153-157", doi="10.1007/BF02295996",
)
CUTURI = Paper(
    "cuturi2013sinkhorn", "Sinkhorn Distances: Lightspeed Computation of Optimal Transport",
    ("Marco Cuturi",), 2013, NEURIPS, volume="26", arxiv="1306.0895",
)
GUO_OT = Paper(
    "guo2022learning",
    "Learning to Re-Weight Examples with Optimal Transport for Imbalanced Classification",
    ("Dandan Guo", "Zhuo Li", "Meixi Zheng", "He Zhao", "Mingyuan Zhou", "Hongyuan Zha"), 2022,
    NEURIPS, volume="35", arxiv="2208.02951",
)
JIANG = Paper(
    "jiang2022delving", "Delving into Sample Loss Curve to Embrace Noisy and Imbalanced Data",
    ("Shenwang Jiang", "Jianan Li", "Ying Wang", "Bo Huang", "Zhang Zhang", "Tingfa Xu"), 2022,
    "AAAI Conference on Artificial Intelligence", volume="36", arxiv="2201.00849",
)
# fmt: on


# ---------------------------------------------------------------------------------------------- methods
