# %% [markdown]
# # Two modalities in one space
#
# **In one sentence:** a multimodal encoder gives texts and pictures vectors that can be compared,
# and still keeps them around two centres; how far apart is a number, not the look of a map.
#
# Kind: explanation.
#
# ## Question and answer
#
# *Does the picture of a document lie next to the document's text in the shared space?*
#
# Nearer than by chance, but not with it: texts lie around one centroid and pictures around
# another, and the distance between the two, **L2M**, differs from encoder to encoder. It has to be
# computed in the full space. The last maps below show one set of vectors at several distances, as
# the settings of UMAP would have it, and distances that shrink otherwise than the gap does.

# %% [markdown]
# ## What you need
#
# *Before:* cosine similarity; [01_score_distributions](01_score_distributions.ipynb) shows what
# the gap does to scores. *Time:* about a minute with cached vectors, half a minute in fast mode;
# three minutes more if the vectors have to be made first. *Data:* the test split of the bundled
# corpus [pictograms](../data/pictograms/README.md), drawings with texts about the thing shown, and
# the bundled encoders mini-clip, mini-siglip and mini-aligned, with mini-untrained as the starting
# point.

# %% [markdown]
# ## Setup

# %%
import numpy as np
import pandas as pd
from IPython.display import Markdown
from sklearn.decomposition import PCA

import mmgap as mg
from mmgap.notebook import notebook
from mmgap.plots import pick_thumbnails, project, shared_space
from mmgap.provenance import provenance

settings = notebook("02_shared_space", seed=0)

# %% [markdown]
# ## Parameters
#
# A map shows a few hundred documents, so that single points can be seen. Every number is computed
# on the whole pool.

# %% tags=["parameters"]
encoders = settings.size(
    full=("mini-clip", "mini-siglip", "mini-aligned", "mini-untrained"),
    fast=("mini-clip", "mini-untrained"),
)
n_doc = settings.size(full=400, fast=80)  # documents in a map
n_thumbnails = settings.size(full=18, fast=6)
n_resamples = settings.size(full=1000, fast=50)  # of the bootstrap
k = 10  # neighbours

# %% [markdown]
# ## By hand
#
# Two documents in a plane. Left and right is what a document is about, up and down is its
# modality: both texts point up, both pictures point down. All four vectors have length 1.

# %%
text = np.array([[0.8, 0.6], [0.6, 0.8]])
image = np.array([[0.8, -0.6], [0.6, -0.8]])
assert np.allclose(np.linalg.norm(np.r_[text, image], axis=1), 1)

# %% [markdown]
# The centroid of the texts is (0.7, 0.7), that of the pictures (0.7, -0.7). The vector from one to
# the other is the **gap vector**, here (0, 1.4); its length is L2M, the first measure that was
# proposed for the modality gap (Liang et al., 2022).


# %%
def l2m(text, image):
    return np.linalg.norm(text.mean(axis=0) - image.mean(axis=0))


print("gap vector", text.mean(axis=0) - image.mean(axis=0), " L2M", l2m(text, image))
assert np.isclose(l2m(text, image), 1.4)

# %% [markdown]
# What such a gap does to a search: the first text is closer to the other document's text than to
# its own picture.

# %%
print(f"text 1 and text 2    {text[0] @ text[1]:.2f}")
print(f"text 1 and picture 1 {text[0] @ image[0]:.2f}")
assert text[0] @ text[1] > text[0] @ image[0]

# %% [markdown]
# ## With mmgap
#
# The same two lines on real vectors. `mg.embed` takes them from the cache, or makes them.

# %%
corpora = {
    "(a) new styles": mg.load_corpus("pictograms", split="test", condition="style"),
    "(b) new concepts": mg.load_corpus("pictograms", split="test", condition="concept"),
}
vectors = {}
for name in encoders:
    encoder = mg.load_encoder(name)
    for condition, corpus in corpora.items():
        vectors[name, condition] = mg.embed(corpus, encoder, progress=False)

# %%
first = vectors["mini-clip", "(a) new styles"]
text, image = first.text.embeddings, first.image.embeddings
print(f"{len(text)} texts, {len(image)} pictures, {text.shape[1]} dimensions")
print(f"L2M of mini-clip: {l2m(text, image):.3f}")

# %% [markdown]
# The same number comes out of cosines alone, which is a check on both: the square of L2M is the
# mean cosine among texts plus that among pictures, minus twice the mean cosine between the two. So
# the gap is wide where each modality is close to itself and far from the other.

# %%
among_texts, among_images = (text @ text.T).mean(), (image @ image.T).mean()
between = (text @ image.T).mean()
print(f"among texts {among_texts:.3f}, among pictures {among_images:.3f}, between {between:.3f}")
from_cosines = np.sqrt(among_texts + among_images - 2 * between)
assert np.isclose(from_cosines, l2m(text, image), atol=1e-3)

# %% [markdown]
# And it ties this notebook to the score histograms of the one before. Queries are texts too. By
# how much they score higher with texts than with pictures, on average, is the length of the mean
# query along the gap vector: no gap, no offset.

# %%
offset = first.scores("text").mean() - first.scores("image").mean()
along_gap = first.queries.mean(axis=0) @ (text.mean(axis=0) - image.mean(axis=0))
print(f"mean query-text minus mean query-image cosine: {offset:.3f}")
assert np.isclose(offset, along_gap, atol=1e-4)

# %% [markdown]
# ## Result
#
# ### A map of the space
#
# UMAP lays the vectors out in a plane so that neighbours stay neighbours. Texts and pictures are
# fitted together, and a line joins the two vectors of a document.

# %%
umap_first = project(first, method="umap", n_doc=n_doc, seed=settings.seed)
thumbnails = pick_thumbnails(first, n_thumbnails, seed=settings.seed)
assert set(thumbnails) <= set(umap_first.image_positions.tolist())

# %%
settings.save(
    shared_space(umap_first, thumbnails=thumbnails, n_lines=60),
    "umap",
    alt=f"Scatter plot, UMAP of {n_doc} documents of mini-clip. Texts are orange triangles, "
    "pictures blue circles; grey lines join the text and the picture of one document; small "
    "drawings stand beside some pictures' points.",
    caption=f"mini-clip: texts and pictures of {n_doc} documents; grey lines join what belongs "
    "together. Only who is near whom can be read here, not how far apart the modalities are.",
    data={"text": umap_first.text.round(1), "image": umap_first.image.round(1)},
)

# %% [markdown]
# Pictures lie in one cloud, texts in several islands, and the lines cross from one side to the
# other. Within a side content decides who is near whom, so two orders are at work, by content and
# by modality. Which of them is stronger will be counted below.
#
# ### The same space in straight lines
#
# PCA turns the space until most of the variance lies in the plane, and then looks at it from the
# front. Distances in the picture are true, except for what lies behind the plane: **two centroids
# can be further apart than they look, never closer**. Here are all encoders, on one condition.

# %%
style = {name: vectors[name, "(a) new styles"] for name in encoders}
panels = {
    f"{name}: L2M {l2m(item.text.embeddings, item.image.embeddings):.2f}": project(
        item, method="pca", n_doc=n_doc, seed=settings.seed
    )
    for name, item in style.items()
}

# %%
settings.save(
    shared_space(panels, n_lines=60),
    "pca",
    alt=f"{len(panels)} scatter plots side by side, the first two principal components of texts, "
    "orange triangles, and pictures, blue circles, one per encoder: " + "; ".join(panels) + ".",
    caption="The first two principal components, one panel per encoder; grey lines join the text "
    "and the picture of one document. The wider the gap, the more of it lies along the first axis.",
    data={name: panel.text.round(3) for name, panel in panels.items()},
)

# %% [markdown]
# ### How wide the gap is
#
# For each encoder and condition: L2M with its 95 % interval over documents, and the same measure
# for two random halves of the texts, which is what L2M says where there is no gap.

# %%
gaps = {}
rng = settings.rng()
for key, item in vectors.items():
    text, image = item.text.embeddings, item.image.embeddings
    n = len(text)
    weights = rng.multinomial(n, np.full(n, 1 / n), n_resamples) / n  # documents drawn anew
    low, high = np.quantile(np.linalg.norm(weights @ (text - image), axis=1), [0.025, 0.975])
    half = rng.permutation(n) < n // 2
    null = l2m(text[half], text[~half])
    gaps[key] = {"L2M": l2m(text, image), "low": low, "high": high, "halves of the texts": null}
numbers = pd.DataFrame(gaps).T.rename_axis(["encoder", "condition"])
assert (numbers["low"] <= numbers["high"]).all()
numbers.round(2)

# %% [markdown]
# ### How much of it a PCA picture shows
#
# Where the gap is the largest difference there is, the first principal component is the gap
# vector: the angle between the two is near 0° and the picture shows all of L2M. At 90° the picture
# does not show the gap at all.

# %%
shown = {}
for key, item in vectors.items():
    text, image = item.text.embeddings, item.image.embeddings
    gap = text.mean(axis=0) - image.mean(axis=0)
    pca = PCA(2, random_state=settings.seed).fit(np.r_[text, image])
    along = np.abs(pca.components_ @ gap) / np.linalg.norm(gap)
    shown[key] = {
        "variance on PC 1": pca.explained_variance_ratio_[0],
        "angle of PC 1 to the gap": np.degrees(np.arccos(min(1, along[0]))),
        "share of L2M in the picture": np.linalg.norm(along),
    }
shown = pd.DataFrame(shown).T.rename_axis(["encoder", "condition"])
assert (shown["share of L2M in the picture"] <= 1 + 1e-5).all()
shown.round(2)

# %% [markdown]
# ### Who is near whom
#
# The other half of the question asks for neighbours. For every text and every picture we count how
# many of its 10 nearest vectors are of its own modality, in the full space. If modality did not
# matter, it would be one half. Many documents of the corpus carry the same text, and equal texts
# are neighbours for a cheap reason; so each text enters once, with the first document that has it.


# %%
def same_modality(both, n_text, k):
    cosines = both @ both.T - 9 * np.eye(len(both), dtype=np.float32)  # nobody neighbours itself
    near_text = np.argsort(-cosines, axis=1)[:, :k] < n_text
    return near_text[:n_text].mean(), 1 - near_text[n_text:].mean()


# %%
distinct = {
    condition: np.unique([document.text for document in corpus.documents], return_index=True)[1]
    for condition, corpus in corpora.items()
}
shares = []
for (_, condition), item in vectors.items():
    keep = distinct[condition]
    both = np.r_[item.text.embeddings[keep], item.image.embeddings[keep]]
    shares.append(same_modality(both, len(keep), k))
numbers[["text near texts", "picture near pictures"]] = np.array(shares)
numbers[["L2M", "text near texts", "picture near pictures"]].round(3)

# %%
lines = [
    f"- {name}, {condition}: L2M {row['L2M']:.2f} [{row['low']:.2f}, {row['high']:.2f}], "
    f"{row['L2M'] / row['halves of the texts']:.0f} times that of two halves of the texts. Of the "
    f"{k} nearest neighbours of a text {row['text near texts']:.0%} are texts, of those of a "
    f"picture {row['picture near pictures']:.0%} are pictures."
    for (name, condition), row in numbers.iterrows()
]
Markdown("**Measured here:**\n\n" + "\n".join(lines))

# %% [markdown]
# ## What could fool us
#
# ### What UMAP cannot tell: settings move the islands
#
# The vectors are the same in all four maps below, and so is L2M. Only `n_neighbors` (how many
# neighbours UMAP tries to keep) and the seed change. How far apart the islands look is measured as
# the distance of their two centres, divided by their own spread.


# %%
def apart(text, image):
    return l2m(text, image) / np.sqrt(text.var(axis=0).sum() + image.var(axis=0).sum())


# %%
in_map = np.isin(first.text.positions, umap_first.text_positions)
text, image = first.text.embeddings[in_map], first.image.embeddings[in_map]
maps = {"15 neighbours, seed 0": umap_first}
for n_neighbors, seed in ((5, 0), (50, 0), (15, 1)):
    maps[f"{n_neighbors} neighbours, seed {seed}"] = project(
        (text, image), n_neighbors=n_neighbors, seed=seed
    )
maps = {f"{name}: {apart(map_.text, map_.image):.2f} apart": map_ for name, map_ in maps.items()}
settings.save(
    shared_space(maps, n_lines=60),
    "umap_settings",
    alt="Four UMAP maps of the same vectors with other settings; texts are orange triangles, "
    "pictures blue circles. Distance of the two centres in units of their spread: "
    + "; ".join(maps)
    + ".",
    caption=f"One set of vectors, one L2M ({l2m(text, image):.2f}), four maps: the distance "
    "between the islands depends on the settings.",
    data={name: map_.text.round(1) for name, map_ in maps.items()},
)

# %% [markdown]
# ### What UMAP cannot tell: how wide the gap is
#
# Now the settings stay and the gap changes. We move texts and pictures towards each other along
# the gap vector, by a half, three quarters and all of its length, and bring the vectors back to
# length 1.


# %%
def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


gap = text.mean(axis=0) - image.mean(axis=0)
closer = {0: (text, image)}
for share in (0.5, 0.75, 1):
    closer[share] = unit(text - share / 2 * gap), unit(image + share / 2 * gap)
assert l2m(*closer[0.5]) < l2m(*closer[0])

# %%
narrower = {
    share: project(pair, seed=settings.seed) if share else umap_first
    for share, pair in closer.items()
}
narrower = {
    f"L2M {l2m(*closer[share]):.2f}: {apart(map_.text, map_.image):.2f} apart": map_
    for share, map_ in narrower.items()
}
settings.save(
    shared_space(narrower, n_lines=60),
    "umap_narrower",
    alt="Four UMAP maps of mini-clip, in which the gap between texts, orange triangles, and "
    "pictures, blue circles, was closed step by step; " + "; ".join(narrower) + " in units of "
    "their spread.",
    caption="The gap is closed step by step, by the same settings. The distance in the map "
    "shrinks otherwise than L2M: it is no measure of the gap.",
    data={name: map_.text.round(1) for name, map_ in narrower.items()},
)

# %% [markdown]
# ### What L2M cannot tell: whether the two mix
#
# L2M is a distance of two means, and two clouds may have one mean and still avoid each other. In a
# plane: texts to the left and right, pictures above and below.

# %%
crossed_texts = np.array([[1.0, 0.0], [-1.0, 0.0]])
crossed_images = np.array([[0.0, 1.0], [0.0, -1.0]])
assert l2m(crossed_texts, crossed_images) == 0
print(f"cosine of every text with every picture: {np.unique(crossed_texts @ crossed_images.T)}")

# %% [markdown]
# So the neighbours are counted again for each step of the closing above. If L2M told everything,
# the last step would leave one half.

# %%
one_each = np.unique([document.text for document in first.corpus.documents], return_index=True)[1]
one_each = np.flatnonzero(np.isin(np.flatnonzero(in_map), one_each))
table = pd.DataFrame(
    {
        "moved by": [f"{share:.0%}" for share in closer],
        "L2M": [l2m(*pair) for pair in closer.values()],
        "apart in the space": [apart(*pair) for pair in closer.values()],
        "apart in the map": [apart(map_.text, map_.image) for map_ in narrower.values()],
        "same modality among neighbours": [
            np.mean(same_modality(np.r_[pair[0][one_each], pair[1][one_each]], len(one_each), k))
            for pair in closer.values()
        ],
    }
)
table.round(2)

# %%
start, half, end = table.iloc[0], table.iloc[1], table.iloc[-1]
by_settings = sorted(apart(map_.text, map_.image) for map_ in maps.values())
Markdown(
    f"**Measured here.** With one L2M the settings put the islands {by_settings[0]:.2f} to "
    f"{by_settings[-1]:.2f} spreads apart. Moving texts and pictures together by a half "
    f"left {half['L2M'] / start['L2M']:.0%} of L2M and "
    f"{half['apart in the map'] / start['apart in the map']:.0%} of the distance in the map. With "
    f"centroids {end['L2M']:.2f} apart, {end['same modality among neighbours']:.0%} of the "
    "neighbours are still of the same modality."
)

# %% [markdown]
# ### Islands without a gap
#
# Here is one modality alone, cut into two halves by lot. L2M between them is what chance gives.
# The map has islands all the same: they are subjects, such as flags, not modalities. Two islands
# in a map are a reason to measure, no more.

# %%
keep = distinct["(a) new styles"]
texts = first.text.embeddings[settings.rng(1).permutation(keep)[: 2 * (n_doc // 2)]]
n_half = len(texts) // 2
halves = project((texts[:n_half], texts[n_half:]), seed=settings.seed)
print(f"L2M of the two halves: {l2m(texts[:n_half], texts[n_half:]):.3f}")

# %%
figure = mg.plots.canvas.new_figure(4)
axes = figure.subplots()
names = ("one half of the texts", "the other half")
for (name, mark), points in zip(
    mg.plots.palette.series_marks(names).items(), (halves.text, halves.image), strict=True
):
    axes.scatter(*points.T, s=22, c=mark.colour, marker=mark.marker, alpha=0.6, label=name)
axes.set(xlabel="UMAP 1", ylabel="UMAP 2", xticks=[], yticks=[])
figure.legend(loc="outside lower center", ncols=2)
settings.save(
    figure,
    "umap_halves",
    alt="Scatter plot, UMAP of texts alone, split by lot into two halves with different marks. The "
    "points form several islands, and both halves are spread over all of them.",
    caption="One modality, cut in two by lot: there is no gap, and there are islands.",
    data={"first half": halves.text.round(1), "second half": halves.image.round(1)},
)

# %% [markdown]
# ## Exercises
#
# 1. Add one and the same vector to all pictures, without bringing them back to length 1. L2M
#    changes. Does the order of the pictures change for a query that searches pictures only?
# 2. L2M of two random halves of the texts is not zero. What does it become with a quarter of the
#    texts in each part, and why?

# %% tags=["solution"]
moved = first.image.embeddings + 0.5 * gap  # 1: every picture's score moves by the same amount
before, after = first.scores("image"), first.queries @ moved.T
print(f"L2M {l2m(first.text.embeddings, first.image.embeddings):.2f} -> ", end="")
print(f"{l2m(first.text.embeddings, moved):.2f}")
assert np.allclose(after - before, (first.queries @ (0.5 * gap))[:, None], atol=1e-5)
print("The order stays: a gap harms no leg by itself, only a merge of both legs' scores.")

# %% tags=["solution"]
order = settings.rng(2).permutation(first.text.embeddings)  # 2: means of fewer vectors vary more
n = len(order)
print(f"halves   {l2m(order[: n // 2], order[n // 2 :]):.3f}")
print(f"quarters {l2m(order[: n // 4], order[n // 4 : n // 2]):.3f}")
print("Expected: larger by the square root of 2. A gap of a small sample is always too wide.")

# %% [markdown]
# ## Summary
#
# - Content and modality both order the space. Which comes first is counted in neighbours, for each
#   encoder and each modality.
# - L2M, the distance of the two centroids, measures how far apart the modalities lie. Give it with
#   an interval and beside what two halves of one modality give.
# - A PCA map can hide a part of that distance and never adds to it. A UMAP map shows who is near
#   whom; its distances between islands mean nothing, and islands need not be modalities.
# - L2M near zero need not mean that texts and pictures mix: look at the neighbours too.
#
# The corpus holds drawings of ten artists' styles with texts about the thing shown; how wide the
# gap of a large model is on photographs cannot be read from here. *Published, not measured here:*
# Liang et al. found L2M 0.82 for CLIP ViT-B/32 on 5,000 photographs of COCO with one caption each.
#
# **References.** W. Liang, Y. Zhang, Y. Kwon, S. Yeung, J. Zou: Mind the Gap: Understanding the
# Modality Gap in Multi-modal Contrastive Representation Learning. NeurIPS 2022. L. McInnes, J.
# Healy, J. Melville: UMAP: Uniform Manifold Approximation and Projection for Dimension Reduction.
# arXiv 1802.03426, 2018.

# %%
provenance(seed=settings.seed)
