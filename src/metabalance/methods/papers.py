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
ZHANG_MIXUP = Paper(
    "zhang2018mixup", "mixup: Beyond Empirical Risk Minimization",
    ("Hongyi Zhang", "Moustapha Cisse", "Yann N. Dauphin", "David Lopez-Paz"), 2018, ICLR, arxiv="1710.09412",
)
YUN = Paper(
    "yun2019cutmix", "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features",
    ("Sangdoo Yun", "Dongyoon Han", "Seong Joon Oh", "Sanghyuk Chun", "Junsuk Choe", "Youngjoon Yoo"), 2019,
    "IEEE/CVF International Conference on Computer Vision", arxiv="1905.04899",
    doi="10.1109/ICCV.2019.00612",
)
CHOU = Paper(
    "chou2020remix", "Remix: Rebalanced Mixup",
    ("Hsin-Ping Chou", "Shih-Chieh Chang", "Jia-Yu Pan", "Wei Wei", "Da-Cheng Juan"), 2020,
    "European Conference on Computer Vision Workshops", pages="95-110", arxiv="2007.03943",
    doi="10.1007/978-3-030-65414-6_9",
)
KIM = Paper(
    "kim2020m2m", "M2m: Imbalanced Classification via Major-to-Minor Translation",
    ("Jaehyung Kim", "Jongheon Jeong", "Jinwoo Shin"), 2020,
    "IEEE/CVF Conference on Computer Vision and Pattern Recognition", arxiv="2004.00431",
    doi="10.1109/CVPR42600.2020.01391",
)
XIE = Paper(
    "xie2023neural", "Neural Collapse Inspired Attraction-Repulsion-Balanced Loss for Imbalanced Learning",
    ("Liang Xie", "Yibo Yang", "Deng Cai", "Xiaofei He"), 2023, "Neurocomputing", "article", "527", "60-70",
    "2204.08735", "10.1016/j.neucom.2023.01.023",
)
SINHA = Paper(
    "sinha2020class", "Class-Wise Difficulty-Balanced Loss for Solving Class-Imbalance",
    ("Saptarshi Sinha", "Hiroki Ohashi", "Katsuyuki Nakamura"), 2020, "Asian Conference on Computer Vision",
    arxiv="2010.01824",
)
LI_DICE = Paper(
    "li2020dice", "Dice Loss for Data-imbalanced NLP Tasks",
    ("Xiaoya Li", "Xiaofei Sun", "Yuxian Meng", "Junjun Liang", "Fei Wu", "Jiwei Li"), 2020,
    "Annual Meeting of the Association for Computational Linguistics", pages="465-476", arxiv="1911.02855",
    doi="10.18653/v1/2020.acl-main.45",
)
MILLETARI = Paper(
    "milletari2016v",
    "V-Net: Fully Convolutional Neural Networks for Volumetric Medical Image Segmentation",
    ("Fausto Milletari", "Nassir Navab", "Seyed-Ahmad Ahmadi"), 2016, "International Conference on 3D Vision",
    pages="565-571", arxiv="1606.04797", doi="10.1109/3DV.2016.79",
)
SALEHI = Paper(
    "salehi2017tversky",
    "Tversky Loss Function for Image Segmentation Using 3D Fully Convolutional Deep Networks",
    ("Seyed Sadegh Mohseni Salehi", "Deniz Erdogmus", "Ali Gholipour"), 2017,
    "International Workshop on Machine Learning in Medical Imaging", pages="379-387", arxiv="1706.05721",
    doi="10.1007/978-3-319-67389-9_44",
)
ZHONG = Paper(
    "zhong2021improving", "Improving Calibration for Long-Tailed Recognition",
    ("Zhisheng Zhong", "Jiequan Cui", "Shu Liu", "Jiaya Jia"), 2021,
    "IEEE/CVF Conference on Computer Vision and Pattern Recognition", pages="16489-16498", arxiv="2104.00466",
)
BANSAL = Paper(
    "bansal2021metabalance", "MetaBalance: High-Performance Neural Networks for Class-Imbalanced Data",
    (
        "Arpit Bansal", "Micah Goldblum", "Valeriia Cherepanova", "Avi Schwarzschild", "C. Bayan Bruss",
        "Tom Goldstein",
    ),
    2021, "arXiv preprint", "misc", arxiv="2106.09643",
)
FORET = Paper(
    "foret2021sharpness", "Sharpness-Aware Minimization for Efficiently Improving Generalization",
    ("Pierre Foret", "Ariel Kleiner", "Hossein Mobahi", "Behnam Neyshabur"), 2021, ICLR, arxiv="2010.01412",
)
KWON = Paper(
    "kwon2021asam",
    "ASAM: Adaptive Sharpness-Aware Minimization for Scale-Invariant Learning of Deep Neural Networks",
    ("Jungmin Kwon", "Jeongseop Kim", "Hyunseo Park", "In Kwon Choi"), 2021, ICML, arxiv="2102.11600",
)
MADRY = Paper(
    "madry2018towards", "Towards Deep Learning Models Resistant to Adversarial Attacks",
    ("Aleksander Madry", "Aleksandar Makelov", "Ludwig Schmidt", "Dimitris Tsipras", "Adrian Vladu"), 2018, ICLR,
    arxiv="1706.06083",
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
NEWCOMBE = Paper(
    "newcombe2006confidence",
    "Confidence Intervals for an Effect Size Measure Based on the Mann-Whitney Statistic. Part 2: Asymptotic Methods and "
    "Evaluation",
    ("Robert G. Newcombe",), 2006, "Statistics in Medicine", "article", "25", "559-573",
)
DEMSAR = Paper(
    "demsar2006statistical", "Statistical Comparisons of Classifiers over Multiple Data Sets", ("Janez Demšar",), 2006,
    "Journal of Machine Learning Research", "article", "7", "1-30",
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
KHOSLA = Paper(
    "khosla2020supervised", "Supervised Contrastive Learning",
    (
        "Prannay Khosla", "Piotr Teterwak", "Chen Wang", "Aaron Sarna", "Yonglong Tian", "Phillip Isola",
        "Aaron Maschinot", "Ce Liu", "Dilip Krishnan",
    ),
    2020, NEURIPS, volume="33", arxiv="2004.11362",
)
ZHU = Paper(
    "zhu2022balanced", "Balanced Contrastive Learning for Long-Tailed Visual Recognition",
    ("Jianggang Zhu", "Zheng Wang", "Jingjing Chen", "Yi-Ping Phoebe Chen", "Yu-Gang Jiang"), 2022,
    "IEEE/CVF Conference on Computer Vision and Pattern Recognition", pages="6908-6917", arxiv="2207.09052",
)
WANG_W = Paper(
    "wang2021imbalanced", "Imbalanced Adversarial Training with Reweighting",
    (
        "Wentao Wang", "Han Xu", "Xiaorui Liu", "Yaxin Li", "Bhavani Thuraisingham", "Jiliang Tang",
    ),
    2021, "arXiv preprint", "misc", arxiv="2107.13639",
)
BARDES = Paper(
    "bardes2022vicreg",
    "VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning",
    ("Adrien Bardes", "Jean Ponce", "Yann LeCun"), 2022, ICLR, arxiv="2105.04906",
)
CHEN_T = Paper(
    "chen2020simple", "A Simple Framework for Contrastive Learning of Visual Representations",
    ("Ting Chen", "Simon Kornblith", "Mohammad Norouzi", "Geoffrey Hinton"), 2020, ICML, arxiv="2002.05709",
)
YANG = Paper(
    "yang2020rethinking", "Rethinking the Value of Labels for Improving Class-Imbalanced Learning",
    ("Yuzhe Yang", "Zhi Xu"), 2020, NEURIPS, volume="33", arxiv="2006.07529",
)
GIDARIS = Paper(
    "gidaris2018unsupervised", "Unsupervised Representation Learning by Predicting Image Rotations",
    ("Spyros Gidaris", "Praveer Singh", "Nikos Komodakis"), 2018, ICLR, arxiv="1803.07728",
)
HE_K = Paper(
    "he2020momentum", "Momentum Contrast for Unsupervised Visual Representation Learning",
    ("Kaiming He", "Haoqi Fan", "Yuxin Wu", "Saining Xie", "Ross Girshick"), 2020,
    "IEEE/CVF Conference on Computer Vision and Pattern Recognition", arxiv="1911.05722",
)
CHEN_X = Paper(
    "chen2020improved", "Improved Baselines with Momentum Contrastive Learning",
    ("Xinlei Chen", "Haoqi Fan", "Ross Girshick", "Kaiming He"), 2020, "arXiv preprint", "misc",
    arxiv="2003.04297",
)
BAHRI = Paper(
    "bahri2022scarf", "SCARF: Self-Supervised Contrastive Learning Using Random Feature Corruption",
    ("Dara Bahri", "Heinrich Jiang", "Yi Tay", "Donald Metzler"), 2022, ICLR, arxiv="2106.15147",
)
REN_2018 = Paper(
    "ren2018learning", "Learning to Reweight Examples for Robust Deep Learning",
    ("Mengye Ren", "Wenyuan Zeng", "Bin Yang", "Raquel Urtasun"), 2018, ICML, volume="80",
    pages="4334-4343", arxiv="1803.09050",
)
SHU = Paper(
    "shu2019meta", "Meta-Weight-Net: Learning an Explicit Mapping For Sample Weighting",
    (
        "Jun Shu", "Qi Xie", "Lixuan Yi", "Qian Zhao", "Sanping Zhou", "Zongben Xu", "Deyu Meng",
    ),
    2019, NEURIPS, volume="32", arxiv="1902.07379",
)
SHU_2023 = Paper(
    "shu2023cmw",
    "CMW-Net: Learning a Class-Aware Sample Weighting Mapping for Robust Deep Learning",
    ("Jun Shu", "Xiang Yuan", "Deyu Meng", "Zongben Xu"), 2023,
    "IEEE Transactions on Pattern Analysis and Machine Intelligence", "article", "45", "11521-11539",
    "2202.05613", "10.1109/TPAMI.2023.3271451",
)
CAO = Paper(
    "cao2019learning", "Learning Imbalanced Datasets with Label-Distribution-Aware Margin Loss",
    ("Kaidi Cao", "Colin Wei", "Adrien Gaidon", "Nikos Arechiga", "Tengyu Ma"), 2019, NEURIPS, volume="32",
    arxiv="1906.07413",
)
SHWARTZ_ZIV = Paper(
    "shwartz-ziv2023simplifying", "Simplifying Neural Network Training Under Class Imbalance",
    ("Ravid Shwartz-Ziv", "Micah Goldblum", "Yucen Lily Li", "C. Bayan Bruss", "Andrew Gordon Wilson"), 2023,
    NEURIPS, volume="36", arxiv="2312.02517",
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
MCDERMOTT = Paper(
    "mcdermott2024closer", "A Closer Look at AUROC and AUPRC under Class Imbalance",
    ("Matthew B. A. McDermott", "Lasse Hyldig Hansen", "Haoran Zhang", "Giovanni Angelotti", "Jack Gallifant"),
    2024, NEURIPS, volume="37", arxiv="2401.06091",
)
KULATILLEKE = Paper(
    "kulatilleke2022empirical",
    "Empirical Study of Machine Learning Classifier Evaluation Metrics Behavior in Massively Imbalanced and Noisy Data",
    ("Gayan K. Kulatilleke", "Sugandika Samarakoon"), 2022, "arXiv preprint", "misc", arxiv="2208.11904",
)
MENON_NOISE = Paper(
    "menon2015learning", "Learning from Corrupted Binary Labels via Class-Probability Estimation",
    ("Aditya Krishna Menon", "Brendan van Rooyen", "Cheng Soon Ong", "Robert C. Williamson"), 2015, ICML,
    pages="125-134",
)
NATARAJAN = Paper(
    "natarajan2013learning", "Learning with Noisy Labels",
    ("Nagarajan Natarajan", "Inderjit S. Dhillon", "Pradeep Ravikumar", "Ambuj Tewari"), 2013, NEURIPS, volume="26",
)
LIPTON = Paper(
    "lipton2018detecting", "Detecting and Correcting for Label Shift with Black Box Predictors",
    ("Zachary C. Lipton", "Yu-Xiang Wang", "Alexander J. Smola"), 2018, ICML, arxiv="1802.03916",
)
ZADROZNY = Paper(
    "zadrozny2002transforming", "Transforming Classifier Scores into Accurate Multiclass Probability Estimates",
    ("Bianca Zadrozny", "Charles Elkan"), 2002,
    "ACM SIGKDD International Conference on Knowledge Discovery and Data Mining",
)
KULL = Paper(
    "kull2017beta",
    "Beta Calibration: A Well-Founded and Easily Implemented Improvement on Logistic Calibration for Binary Classifiers",
    ("Meelis Kull", "Telmo M. Silva Filho", "Peter Flach"), 2017,
    "International Conference on Artificial Intelligence and Statistics",
)
PLATT = Paper(
    "platt1999probabilistic",
    "Probabilistic Outputs for Support Vector Machines and Comparisons to Regularized Likelihood Methods",
    ("John C. Platt",), 1999, "Advances in Large Margin Classifiers",
)
VOVK = Paper(
    "vovk2003mondrian", "Mondrian Confidence Machine",
    ("Vladimir Vovk", "David Lindsay", "Ilia Nouretdinov", "Alex Gammerman"), 2003, "Technical report", "misc",
)
SADINLE = Paper(
    "sadinle2019least", "Least Ambiguous Set-Valued Classifiers with Bounded Error Levels",
    ("Mauricio Sadinle", "Jing Lei", "Larry Wasserman"), 2019, JASA, "article", "114", "223-234", "1609.00451",
)
ROMANO = Paper(
    "romano2020classification", "Classification with Valid and Adaptive Coverage",
    ("Yaniv Romano", "Matteo Sesia", "Emmanuel J. Candès"), 2020, NEURIPS, volume="33", arxiv="2006.02544",
)
DING = Paper(
    "ding2023class", "Class-Conditional Conformal Prediction with Many Classes",
    ("Tiffany Ding", "Anastasios N. Angelopoulos", "Stephen Bates", "Michael I. Jordan", "Ryan J. Tibshirani"), 2023,
    NEURIPS, volume="36", arxiv="2306.09335",
)
CHOW = Paper(
    "chow1970optimum", "On Optimum Recognition Error and Reject Tradeoff", ("C. K. Chow",), 1970,
    "IEEE Transactions on Information Theory", "article", "16", "41-46",
)
JONES = Paper(
    "jones2021selective", "Selective Classification Can Magnify Disparities Across Groups",
    ("Erik Jones", "Shiori Sagawa", "Pang Wei Koh", "Ananya Kumar", "Percy Liang"), 2021, ICLR, arxiv="2010.14134",
)
BAHNSEN = Paper(
    "bahnsen2015example", "Example-Dependent Cost-Sensitive Decision Trees",
    ("Alejandro Correa Bahnsen", "Djamila Aouada", "Björn Ottersten"), 2015, "Expert Systems with Applications",
    "article", "42", "6609-6619",
)
ANGELOPOULOS = Paper(
    "angelopoulos2021learn", "Learn then Test: Calibrating Predictive Algorithms to Achieve Risk Control",
    ("Anastasios N. Angelopoulos", "Stephen Bates", "Emmanuel J. Candès", "Michael I. Jordan", "Lihua Lei"), 2021,
    "arXiv preprint", "misc", arxiv="2110.01052",
)
HAND = Paper(
    "hand2009measuring",
    "Measuring Classifier Performance: A Coherent Alternative to the Area under the ROC Curve", ("David J. Hand",),
    2009, "Machine Learning", "article", "77", "103-123",
)
HAND_2014 = Paper(
    "hand2014better", "A Better Beta for the H Measure of Classification Performance",
    ("David J. Hand", "Christoforos Anagnostopoulos"), 2014, "Pattern Recognition Letters", "article", "40", "41-46",
    "1202.2564",
)
BLASIOK = Paper(
    "blasiok2024smooth", "Smooth ECE: Principled Reliability Diagrams via Kernel Smoothing",
    ("Jarosław Błasiok", "Preetum Nakkiran"), 2024, ICLR, arxiv="2309.12236",
)
VICKERS = Paper(
    "vickers2006decision", "Decision Curve Analysis: A Novel Method for Evaluating Prediction Models",
    ("Andrew J. Vickers", "Elena B. Elkin"), 2006, "Medical Decision Making", "article", "26", "565-574",
)
GARCIA = Paper(
    "garcia2009index", "Index of Balanced Accuracy: A Performance Measure for Skewed Class Distributions",
    ("Vicente García", "Ramón A. Mollineda", "José Salvador Sánchez"), 2009,
    "Iberian Conference on Pattern Recognition and Image Analysis",
)
YANG_DIR = Paper(
    "yang2021delving", "Delving into Deep Imbalanced Regression",
    ("Yuzhe Yang", "Kaiwen Zha", "Ying-Cong Chen", "Hao Wang", "Dina Katabi"), 2021, ICML, volume="139",
    arxiv="2102.09554",
)
KERAMATI = Paper(
    "keramati2024conr", "ConR: Contrastive Regularizer for Deep Imbalanced Regression",
    ("Mahsa Keramati", "Lili Meng", "R. David Evans"), 2024, ICLR, arxiv="2309.06651",
)
GONG = Paper(
    "gong2022ranksim", "RankSim: Ranking Similarity Regularization for Deep Imbalanced Regression",
    ("Yu Gong", "Greg Mori", "Frederick Tung"), 2022, ICML, volume="162", arxiv="2205.15236",
)
REN_2022 = Paper(
    "ren2022balanced", "Balanced MSE for Imbalanced Visual Regression",
    ("Jiawei Ren", "Mingyuan Zhang", "Cunjun Yu", "Ziwei Liu"), 2022,
    "IEEE/CVF Conference on Computer Vision and Pattern Recognition", arxiv="2203.16427",
)
STEININGER = Paper(
    "steininger2021density", "Density-Based Weighting for Imbalanced Regression",
    ("Michael Steininger", "Konstantin Kobs", "Padraig Davidson", "Anna Krause", "Andreas Hotho"), 2021,
    "Machine Learning", "article", "110", "2187-2211", doi="10.1007/s10994-021-06023-5",
)
TORGO_2007 = Paper(
    "torgo2007utility", "Utility-Based Regression", ("Luís Torgo", "Rita P. Ribeiro"), 2007,
    "European Conference on Principles and Practice of Knowledge Discovery in Databases",
)
TORGO = Paper(
    "torgo2013smote", "SMOTE for Regression",
    ("Luís Torgo", "Rita P. Ribeiro", "Bernhard Pfahringer", "Paula Branco"), 2013,
    "Portuguese Conference on Artificial Intelligence",
)
BRANCO = Paper(
    "branco2017smogn", "SMOGN: a Pre-processing Approach for Imbalanced Regression",
    ("Paula Branco", "Luís Torgo", "Rita P. Ribeiro"), 2017,
    "International Workshop on Learning with Imbalanced Domains: Theory and Applications", volume="74", pages="36-50",
)
BRANCO_2019 = Paper(
    "branco2019pre", "Pre-processing Approaches for Imbalanced Distributions in Regression",
    ("Paula Branco", "Luís Torgo", "Rita P. Ribeiro"), 2019, "Neurocomputing", "article", "343", "76-99",
)
KOENKER = Paper(
    "koenker1978regression", "Regression Quantiles", ("Roger Koenker", "Gilbert Bassett"), 1978, "Econometrica",
    "article", "46", "33-50",
)
ROMANO_2019 = Paper(
    "romano2019conformalized", "Conformalized Quantile Regression",
    ("Yaniv Romano", "Evan Patterson", "Emmanuel J. Candès"), 2019, NEURIPS, volume="32", arxiv="1905.03222",
)
DE_BREUCK = Paper(
    "breuck2021materials",
    "Materials Property Prediction for Limited Datasets Enabled by Feature Selection and Joint Learning with MODNet",
    ("Pierre-Paul De Breuck", "Geoffroy Hautier", "Gian-Marco Rignanese"), 2021, "npj Computational Materials",
    "article", "7", "83", "2004.14766", "10.1038/s41524-021-00552-2",
)
DE_BREUCK_ROBUST = Paper(
    "breuck2021robust",
    "Robust Model Benchmarking and Bias-Imbalance in Data-Driven Materials Science: a Case Study on MODNet",
    ("Pierre-Paul De Breuck", "Matthew L. Evans", "Gian-Marco Rignanese"), 2021,
    "Journal of Physics: Condensed Matter", "article", "33", "404002", "2102.02263", "10.1088/1361-648X/ac1280",
)
DUNN = Paper(
    "dunn2020benchmarking",
    "Benchmarking Materials Property Prediction Methods: the Matbench Test Set and Automatminer Reference Algorithm",
    ("Alexander Dunn", "Qi Wang", "Alex Ganose", "Daniel Dopp", "Anubhav Jain"), 2020, "npj Computational Materials",
    "article", "6", "138", "2005.00707", "10.1038/s41524-020-00406-3",
)
KRASKOV = Paper(
    "kraskov2004estimating", "Estimating Mutual Information",
    ("Alexander Kraskov", "Harald Stögbauer", "Peter Grassberger"), 2004, "Physical Review E", "article", "69",
    "066138", doi="10.1103/PhysRevE.69.066138",
)
WARD = Paper(
    "ward2016general",
    "A General-Purpose Machine Learning Framework for Predicting Properties of Inorganic Materials",
    ("Logan Ward", "Ankit Agrawal", "Alok Choudhary", "Christopher Wolverton"), 2016, "npj Computational Materials",
    "article", "2", "16028", "1606.09551", "10.1038/npjcompumats.2016.28",
)
PAPADOPOULOS = Paper(
    "papadopoulos2002inductive", "Inductive Confidence Machines for Regression",
    ("Harris Papadopoulos", "Kostas Proedrou", "Volodya Vovk", "Alex Gammerman"), 2002,
    "European Conference on Machine Learning",
)
SEITZER = Paper(
    "seitzer2022pitfalls",
    "On the Pitfalls of Heteroscedastic Uncertainty Estimation with Probabilistic Neural Networks",
    ("Maximilian Seitzer", "Arash Tavakoli", "Dimitrije Antic", "Georg Martius"), 2022, ICLR, arxiv="2203.09168",
)
HUBER = Paper(
    "huber1964robust", "Robust Estimation of a Location Parameter", ("Peter J. Huber",), 1964,
    "Annals of Mathematical Statistics", "article", "35", "73-101",
)
HOERL = Paper(
    "hoerl1970ridge", "Ridge Regression: Biased Estimation for Nonorthogonal Problems",
    ("Arthur E. Hoerl", "Robert W. Kennard"), 1970, "Technometrics", "article", "12", "55-67",
)
# fmt: on


# ---------------------------------------------------------------------------------------------- methods
