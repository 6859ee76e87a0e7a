# %% [markdown]
# # Where the gap comes from
#
# **In one sentence:** two random encoders put their outputs into two narrow cones, so the gap is
# there before training, and the logit scale (1 / temperature) of the loss decides how much of it
# training takes away.
#
# Kind: explanation. Everything here is trained while the notebook runs.
#
# ## Question and answer
#
# *Who makes the modality gap: the random start, the loss, or the data?*
#
# The start makes it, and the loss decides what stays. The figure `start` follows the gap step by
# step: at a low logit scale training forgets the start and ends at a small gap. At the high scale
# of CLIP it forgets slowly, because the loss is nearly 0 while the gap is still wide. The figure
# `temperature` shows six scales beside the published numbers. Several published claims hold here,
# some do not; the table before the exercises lists both.

# %% [markdown]
# ## What you need
#
# *Before:* cosine similarity and L2M, the distance of the two centroids
# ([02_shared_space](02_shared_space.ipynb)). *Time:* one to two minutes on two cores, most of it
# training; under half a minute in fast mode. *Data:* images and their names from the bundled
# corpus [pictograms](../data/pictograms/README.md), as features of the bundled encoder
# mini-aligned; the bundled mini-clip; and, where the file is at hand, published embeddings of CLIP
# ViT-B/16 for 500 photographs of COCO (Liang et al., MIT licence).

# %% [markdown]
# ## Setup

# %%
import string
import time
from dataclasses import replace

import numpy as np
import pandas as pd
from IPython.display import Markdown
from PIL import Image
from sklearn.decomposition import PCA

import mmgap as mg

# %%
from mmgap import paths
from mmgap.contrastive import (
    compare_heads,
    drawing_name_pairs,
    random_layers,
    relu_cosine,
    untrained_towers,
)
from mmgap.gap import cone, dimension_profile, l2m, rmg, shift_sweep
from mmgap.notebook import notebook
from mmgap.plots import curves as draw_curves
from mmgap.plots import new_figure, palette, series_marks
from mmgap.provenance import provenance

settings = notebook("03_where_the_gap_comes_from", seed=0)

# %% [markdown]
# ## Parameters
#
# Each training is repeated with several seeds. What is said about a number is said for all seeds:
# tables and sentences give the mean and the range over seeds, which is no confidence interval, and
# in how many runs a claim holds. A training multiplies rounding errors, so that another machine may
# give another second digit.

# %% tags=["parameters"]
seeds = settings.size(full=(0, 1, 2), fast=(0,))
n_train = settings.size(full=5000, fast=200)  # pairs at most
n_test = settings.size(full=5000, fast=150)
steps = settings.size(full=250, fast=20)
scales = settings.size(full=(1, 10, 20, 30, 50, 100), fast=(10, 100))
dims = settings.size(full=(16, 32, 64, 128), fast=(32, 128))
n_cone = settings.size(full=100, fast=16)  # inputs of the random towers

# %% [markdown]
# ## By hand
#
# A layer of a network multiplies by weights, adds a bias, and applies an activation. The usual one,
# **ReLU**, sets negative numbers to 0. Two orthogonal vectors show what that does.

# %%
two = np.array([[0.8, 0.6], [0.6, -0.8]])
after = np.maximum(two, 0)
unit_after = after / np.linalg.norm(after, axis=1, keepdims=True)
print("before ReLU", two.tolist(), f"cosine {abs(two[0] @ two[1]):.2f}")
print("after ReLU ", after.tolist(), f"cosine {unit_after[0] @ unit_after[1]:.2f}")
assert np.isclose(two[0] @ two[1], 0)
assert np.isclose(unit_after[0] @ unit_after[1], 0.8)

# %% [markdown]
# Without negative numbers all vectors lie in one corner of the space, and no angle is over 90°.
# The vectors now lie in a **cone**. How narrow it is, is measured by the mean cosine of two
# different vectors: 0 means no cone, 1 means that all vectors point the same way.

# %%
four = np.array([[0.8, 0.6], [0.6, -0.8], [0.0, 1.0], [1.0, 0.0]])
cosines = four @ four.T
by_hand = (cosines.sum() - len(four)) / (len(four) * (len(four) - 1))  # without the diagonal
print(f"mean cosine of two different vectors: {by_hand:.3f}")

# %% [markdown]
# ## With mmgap
#
# `cone` is that mean cosine.

# %%
assert np.isclose(cone(four), by_hand)

# %% [markdown]
# One example proves little. For a wide layer with random weights the expected cosine is known in
# closed form (Cho and Saul, 2009): orthogonal vectors get the cosine 1 / π. Here, a layer of 20,000
# outputs:

# %%
_, out = random_layers(two, 1, width=20_000, bias=False, rng=settings.rng())
print(f"measured {cone(out):.3f}, expected {relu_cosine(0, bias=False):.3f}")
assert np.isclose(relu_cosine(0, bias=False), 1 / np.pi)
assert abs(cone(out) - 1 / np.pi) < 0.02

# %% [markdown]
# Now the data. Each pair is one image of a thing and the name of the thing. The bundled encoder
# mini-aligned turns both into features of 384 numbers; these stay as they are. On them we will
# train **heads**: one ReLU layer and one linear layer for each modality. A head trains in about a
# second, so one thing at a time can be changed.


# %%
def embedded(corpus, encoder):
    vectors = mg.embed(corpus, encoder, progress=False)
    return vectors.image.embeddings, vectors.text.embeddings


# %%
training = drawing_name_pairs(mg.load_corpus("pictograms", split="train"), rng=settings.rng())
training = replace(training, documents=training.documents[:n_train])
held_out = drawing_name_pairs(mg.load_corpus("pictograms", split="test"), rng=settings.rng())
held_out = replace(held_out, documents=held_out.documents[:n_test])
train = embedded(training, mg.load_encoder("mini-aligned"))
test = embedded(held_out, mg.load_encoder("mini-aligned"))
print(f"{len(train[0])} pairs to train on, {len(test[0])} held out, new styles of drawing")

# %% [markdown]
# ## Result
#
# ### 1. A random encoder makes a cone
#
# *Published* (Liang et al., 2022, section 2): every ReLU layer with random weights raises the
# cosines, and a deep network makes a narrow cone of any data. We send the features of the names
# through networks with random weights. Lines: the closed form; marks: what comes out.


# %%
def expected(cosines, depth, bias):
    for _ in range(depth):
        cosines = relu_cosine(cosines, bias=bias)
    return (cosines.sum() - len(cosines)) / (cosines.size - len(cosines))


# %%
names = test[1].astype(float)
gram = names @ names.T
kinds = {
    "ReLU with bias": {"activation": "relu", "bias": True},
    "ReLU without bias": {"activation": "relu", "bias": False},
    "linear without bias": {"activation": "linear", "bias": False},
}
depth = 6
cones = {
    kind: [cone(out) for out in random_layers(names, depth, rng=settings.rng(), **how)]
    for kind, how in kinds.items()
}
closed = {
    kind: [expected(gram, n, kinds[kind]["bias"]) for n in range(depth + 1)] for kind in kinds
}
closed["linear without bias"] = [cone(names)] * (depth + 1)
pd.DataFrame(cones).rename_axis("layers").round(3)

# %%
figure = new_figure(3.6)
axes = figure.subplots()
for kind, mark in series_marks(kinds).items():
    axes.plot(closed[kind], color=mark.colour, linestyle=mark.line, marker="none")
    axes.plot(cones[kind], color=mark.colour, linestyle="none", marker=mark.marker, label=kind)
axes.set(xlabel="random layers", ylabel="mean cosine of two names", ylim=(0, 1.02))
axes.legend(loc="center right", bbox_to_anchor=(1, 0.4))
settings.save(
    figure,
    "cones",
    alt="Mean cosine of two different names after 0 to 6 random layers, by kind of layer; "
    + "; ".join(f"{kind} ends at {values[-1]:.2f}" for kind, values in cones.items())
    + ". The marks lie on the lines of the closed form.",
    caption="Random ReLU layers draw all vectors together, biases speed it up, linear layers "
    "without bias do not do it. Marks: measured, 512 wide; lines: closed form.",
    data=cones,
)

# %%
for kind in ("ReLU with bias", "ReLU without bias"):
    assert (np.diff(cones[kind]) > 0).all()
assert max(abs(np.subtract(cones[kind], closed[kind])).max() for kind in kinds) < 0.1

# %% [markdown]
# Real towers are no plain stacks of layers. So here are the two towers of the bundled encoders
# with random weights: an EfficientNet for images and a MiniLM, a transformer, for texts. They see
# real data, or noise: random pixels and random letters. The published networks are a ResNet-18 and
# the towers of CLIP (Liang et al., figure 2): other networks and other data, so only the order of
# size can be compared.

# %%
rng = settings.rng(1)
documents = held_out.documents[:n_cone]
images = [document.image.open() for document in documents]
noise = [Image.fromarray(rng.integers(0, 256, (128, 128, 3), dtype=np.uint8)) for _ in documents]
letters = list(string.ascii_lowercase + "     ")
inputs = {
    "real data": (images, [document.text for document in documents]),
    "noise": (noise, ["".join(rng.choice(letters, 40)) for _ in documents]),
}
towers = {kind: untrained_towers(*data, seed=settings.seed) for kind, data in inputs.items()}

# %%
published = {
    "real data": {"ResNet-18": 0.9932, "CLIP image tower": 0.7172, "CLIP text tower": 0.6721},
    "noise": {"ResNet-18": 0.9993, "CLIP image tower": 0.9366, "CLIP text tower": 0.4112},
}
cone_table = pd.DataFrame(
    {
        (f"published, {kind}" if source else f"here, {kind}"): source or here
        for kind, (image, text) in towers.items()
        for source, here in (
            (None, {"EfficientNet": cone(image), "MiniLM": cone(text)}),
            (published[kind], None),
        )
    }
)
cone_table.rename_axis("random weights").round(3).astype(object).fillna("")

# %% [markdown]
# All means are far above 0, on both sides: a network makes a cone before it has learned anything.
#
# Each network makes **its own** cone, because its random weights choose the direction. The figure
# sends the same names through five random networks that differ in nothing but the seed.

# %%
networks = [random_layers(names, 2, rng=settings.rng(10 + n))[2] for n in range(5)]
networks = [out / np.linalg.norm(out, axis=1, keepdims=True) for out in networks]
between = np.mean([(a @ b.T).mean() for n, a in enumerate(networks) for b in networks[:n]])
within = np.mean([cone(out) for out in networks])
apart = [l2m(a, b) for n, a in enumerate(networks) for b in networks[:n]]
plane = PCA(2, random_state=settings.seed).fit(np.concatenate(networks))
print(f"cosine within a network {within:.2f}, between networks {between:.2f}")
print(f"L2M of two networks {min(apart):.2f} to {max(apart):.2f}")
assert within > between + 0.3

# %%
figure = new_figure(4.2)
axes = figure.subplots()
marks = series_marks([f"random network {n + 1}" for n in range(5)])
for (label, mark), out in zip(marks.items(), networks, strict=True):
    points = plane.transform(out)
    axes.scatter(*points.T, s=14, c=mark.colour, marker=mark.marker, alpha=0.5, label=label)
axes.set(xlabel="first principal component", ylabel="second principal component")
figure.legend(loc="outside lower center", ncols=3, markerscale=2)
settings.save(
    figure,
    "two_cones",
    alt=f"Scatter plot, first two principal components of {len(names)} names after five random "
    "networks, one mark for each network. The networks' points form five separate small clouds.",
    caption="The same names through five random networks: five cones. A gap needs neither two "
    "modalities nor training; two random encoders are enough.",
    data={label: plane.transform(out).round(3) for label, out in zip(marks, networks, strict=True)},
)

# %% [markdown]
# ### 2. What training does to the gap of the start
#
# *Published* (Liang et al., section 4.3; CLIP from scratch on COCO, three seeds): the gap grows
# from 1.1891 to 1.2991 in training. If the start is **amended**, so that the gap is only 0.0388
# before the first step, training opens one of 0.7457.
#
# We train from both starts, at two logit scales. As in the paper the start is amended by an
# orthogonal matrix that turns the text embeddings onto the image embeddings; it leaves distances
# among texts as they are. L2M is measured on the held-out pairs.

# %%
plain = {f"scale {scale:g}": {"logit_scale": scale} for scale in scales}
amended = {f"scale {s:g}, amended": {"logit_scale": s, "amend": True} for s in (10, 100)}
trained = compare_heads(train, test, plain | amended, seeds=seeds, steps=steps)

# %%
starts = {"as the weights fell": "", "gap closed first": ", amended"}


def history(scale):
    wanted = {f"scale {scale:g}{end}": start for start, end in starts.items()}
    every = trained.history[trained.history["variant"].isin(wanted)]
    return every.assign(variant=every["variant"].map(wanted))


curves = {f"logit scale {scale:g}": history(scale) for scale in (10, 100)}
by_step = {"x": "step", "x_label": "training step", "rows": {"l2m": "gap (L2M)"}}
by_step |= {"lines": "variant", "panels": "panel", "steps": "training"}

# %%
settings.save(
    draw_curves(pd.concat([f.assign(panel=n) for n, f in curves.items()]), **by_step),
    "start",
    alt="Two panels, L2M on held-out pairs against the training step, one line per start and seed. "
    "At logit scale 10 the lines from a wide and from a closed gap meet at a small one. At logit "
    "scale 100 they do not: the wide gap shrinks slowly and the closed gap opens.",
    caption="At scale 10 training forgets the start. At scale 100, where CLIP's training ends, the "
    f"gap after {steps} steps still depends on it.",
    data={name: frame[["step", "l2m"]] for name, frame in curves.items()},
)


# %%
def spread(values):
    return f"{np.mean(values):.2f} (seeds {np.min(values):.2f} to {np.max(values):.2f})"


def in_runs(values, bound=0.0, what="runs"):
    return f"in {sum(value > bound for value in values)} of {len(values)} {what}"


def of(comparison, variant, column="l2m"):
    table = comparison.table
    return table.loc[table["variant"] == variant, column].to_numpy()


# %%
rows = {}
for scale in (10, 100):
    for start, end in starts.items():
        variant = f"scale {scale:g}{end}"
        before, after = (spread(of(trained, variant, column)) for column in ("l2m_start", "l2m"))
        rows[f"here, scale {scale:g}", start] = {"L2M before": before, "L2M after": after}
source = "published (Liang et al.)"
rows[source, "as the weights fell"] = {"L2M before": "1.1891", "L2M after": "1.2991"}
rows[source, "gap closed first"] = {"L2M before": "0.0388", "L2M after": "0.7457"}
pd.DataFrame(rows).T.rename_axis(["", "start"])

# %%
wide, closed_first = of(trained, "scale 100"), of(trained, "scale 100, amended")
opened = closed_first - of(trained, "scale 100, amended", "l2m_start")
grown = wide - of(trained, "scale 100", "l2m_start")
kept = closed_first / wide
low = of(trained, "scale 10, amended") / of(trained, "scale 10")
Markdown(
    f"**At scale 100.** Training opens a gap where there was none: L2M grows by {spread(opened)}, "
    f"{in_runs(opened)}. It widens the gap of the usual start "
    f"*{in_runs(grown)}*: L2M changes by {spread(grown)}. From the closed start "
    f"the gap ends at {kept.mean():.0%} of that from the usual one (published: "
    f"{0.7457 / 1.2991:.0%}). **At scale 10** it ends at {low.mean():.0%}: the start hardly "
    "matters any more."
)

# %% [markdown]
# ### 3. The gap and the temperature
#
# *Published* (Liang et al., table 1 of their repository): CLIP, already trained, is trained further
# on COCO at six temperatures τ. The lower τ, hence the higher the logit scale 1 / τ, the wider the
# gap. Here the heads start from random weights, on drawings; batches have 64 pairs as theirs do.

# %%
liang = pd.DataFrame(
    {
        "scale": [1, 10, 20, 30, 50, 100],
        "l2m": [0.2384, 0.3028, 0.5524, 0.6352, 0.7961, 1.0006],
        "image R@1": [0.0214, 0.1896, 0.1772, 0.2048, 0.2090, 0.1836],
        "text R@1": [0.0170, 0.1660, 0.1740, 0.2098, 0.2036, 0.1894],
    }
)
liang["recall"] = liang[["image R@1", "text R@1"]].mean(axis=1)
ours = trained.table[trained.table["variant"].isin(plain)].assign(series="here, one dot per seed")
ours["scale"] = ours["variant"].str.removeprefix("scale ").astype(float)
ours["recall"] = (ours["i2t_recall"] + ours["t2i_recall"]) / 2  # mean of both

# %%
figure = draw_curves(
    ours,
    x="scale",
    x_label="logit scale in training (1 / temperature)",
    rows={"l2m": "gap (L2M)", "recall": "recall@1 in %"},
    lines="series",
    steps="log",
    published=liang,
    source="published (Liang et al.)",
)

# %%
settings.save(
    figure,
    "temperature",
    alt="Two panels over the logit scale in training, 1 to 100: the gap, L2M, and recall@1 as the "
    "mean of both directions. Ours are dots, published values hollow circles. The gap grows with "
    "the scale in both; recall is lowest at scale 1.",
    caption="A higher logit scale leaves a wider gap, here as in the published table. Recall@1 "
    "does not follow the gap. The levels are of other data and cannot be compared.",
    data={"ours": ours[["scale", "seed", "l2m", "recall"]].round(3), "published": liang},
)

# %%
columns = ["l2m", "rmg", "i2t_recall", "t2i_recall"]
table = ours.groupby("scale")[columns].agg(spread)
beside = liang.set_index("scale").drop(columns="recall")
beside.columns = [f"published: {'L2M' if name == 'l2m' else name}" for name in beside]
table.join(beside)

# %%
by_seed = ours.pivot(index="scale", columns="seed", values="l2m")
rises = (by_seed.diff().iloc[1:] > 0).all()  # of each seed
ratio = by_seed.iloc[-1] / by_seed.loc[10]
best = ours.groupby("scale")["recall"].mean()
at_ends = f"{best.iloc[0]:.0%} at scale {best.index[0]:g}, {best.iloc[-1]:.0%} at scale 100"
Markdown(
    f"**Lower temperature, wider gap, at every step: in {rises.sum()} of {len(rises)} runs.**"
    f" From scale 10 to 100 the gap becomes {spread(ratio)} times as wide; published: "
    f"{liang['l2m'].iloc[-1] / liang['l2m'].iloc[1]:.1f} times. **Recall@1** is highest at scale "
    f"{best.idxmax():g} with {best.max():.0%} ({at_ends}); published: at scale "
    f"{liang.set_index('scale')['recall'].idxmax():g}. A narrow gap is no sign of a good encoder, "
    "and neither is a wide one."
)

# %%
if not settings.fast:
    assert (by_seed.loc[100] > by_seed.loc[10]).all()
    assert (closed_first < wide).all()

# %% [markdown]
# **The loss as a landscape.** *Published* (Liang et al., section 3.2): take ready embeddings, push
# the two modalities together or apart along the gap vector, bring them back to length 1, and
# compute the loss. At scale 100 the loss is lowest where the embeddings are; at low scales it is
# lowest with a small gap. We do this for the published CLIP embeddings and for mini-clip on its
# held-out pairs, in batches of 50 as in the paper.

# %%
spaces = {"mini-clip": embedded(held_out, mg.load_encoder("mini-clip"))}
features = paths.oracles_dir() / "features_clip.npy"
if features.is_file():
    spaces = {"CLIP ViT-B/16": tuple(np.load(features)), **spaces}
else:
    settings.leave_out("features_clip.npy (real CLIP; MMGAP_ORACLES names its folder)")
shown_scales = (100, 30, 10)
ways = np.linspace(-0.5, 1, 13)  # parts of the gap; 0 leaves the embeddings as they are
landscape = {
    name: shift_sweep(*space, ways * l2m(*space), logit_scales=shown_scales, batch_size=50)
    for name, space in spaces.items()
}

# %%
figure = new_figure(3.9)
grid = figure.subplots(1, len(spaces), squeeze=False, sharey=True)[0]
grid[0].set_ylabel("loss, lowest 0, highest 1")
for axes, (name, sweep) in zip(grid, landscape.items(), strict=True):
    for scale, mark in series_marks(shown_scales).items():
        line = sweep[sweep["logit_scale"] == scale].reset_index(drop=True)
        height = (line["loss"] - line["loss"].min()) / (line["loss"].max() - line["loss"].min())
        look = {"color": mark.colour, "linestyle": mark.line, "marker": mark.marker, "ms": 9}
        axes.plot(line["distance"], height, markevery=[height.idxmin()], label=scale, **look)
    axes.axvline(l2m(*spaces[name]), color=palette.QUIET_COLOUR, linestyle=":", zorder=0)
    axes.set(xlabel="L2M after the shift (dotted: no shift)", title=name)

# %%
lowest = {
    (name, scale): part.loc[part["loss"].idxmin(), "distance"]
    for name, sweep in landscape.items()
    for scale, part in sweep.groupby("logit_scale")
}
handles, labels = grid[0].get_legend_handles_labels()
labels = [f"logit scale {label} (mark: lowest)" for label in labels]
figure.legend(handles, labels, loc="outside lower center", ncols=3)
settings.save(
    figure,
    "landscape",
    alt="Contrastive loss against L2M while the modalities are shifted, one line per logit scale. "
    "Lowest: "
    + "; ".join(f"{name} at scale {s:g} at L2M {where:.2f}" for (name, s), where in lowest.items())
    + ".",
    caption="At logit scale 100 the loss on held-out pairs is lowest where the embeddings are, or "
    "close to it; at lower scales it is lowest with a narrower gap.",
    data={name: sweep.round(4) for name, sweep in landscape.items()},
)

# %%
lines = []
for name, space in spaces.items():
    own, at = l2m(*space), {scale: lowest[name, scale] for scale in shown_scales}
    off = abs(at[100] - own) / own  # the grid has steps of an eighth of the gap
    best = "exactly there" if off < 1e-6 else "one step away" if off < 0.15 else "further away"
    moves = "holds here" if at[10] < at[30] < at[100] else "does not hold here"
    lines.append(
        f"- {name}, L2M {own:.2f}: at scale 100 the loss is lowest at L2M {at[100]:.2f} ({best}), "
        f"at 30 at {at[30]:.2f}, at 10 at {at[10]:.2f} (*the lower the scale, the narrower: "
        f"{moves}*)."
    )
Markdown("**Measured here:**\n\n" + "\n".join(lines))

# %% [markdown]
# On the grid of the paper, shifts of -1 to 0.75 in steps of 0.25, the published embeddings give:

# %%
if "CLIP ViT-B/16" in spaces:
    steps_of_paper = np.arange(-1, 1, 0.25)
    coarse = shift_sweep(
        *spaces["CLIP ViT-B/16"], steps_of_paper, logit_scales=shown_scales, batch_size=50
    )
    at_lowest = coarse.loc[coarse.groupby("logit_scale")["loss"].idxmin()]
    print(at_lowest.round(3).to_string(index=False))
    assert at_lowest.set_index("logit_scale")["shift"].loc[100] == 0

# %% [markdown]
# ### 4. The gap and the dimension
#
# *Published* (Fahim et al., 2024; CLIP with smaller embeddings, trained on COCO, mean of three
# seeds): 0.661 in 128 dimensions, 0.314 in 64, 0.104 in 32. Fewer dimensions, smaller gap. Here the
# heads end in 16 to 128 dimensions, once at scale 100 and once with a learned scale, which starts
# at 1 / 0.07 as in CLIP.

# %%
learned = {"logit_scale": 1 / 0.07, "learn_scale": True}
shapes = {f"{dim} dims, scale 100": {"dim": dim} for dim in dims}
shapes |= {f"{dim} dims, scale learned": {"dim": dim, **learned} for dim in dims}
by_dim = compare_heads(train, test, shapes, seeds=seeds, steps=steps)
parts = by_dim.table["variant"].str.extract(r"(\d+) dims, (.+)")
by_dim_table = by_dim.table.assign(dim=parts[0].astype(int), series=parts[1])

# %%
fahim = pd.DataFrame({"dim": [128, 64, 32], "l2m": [0.661, 0.314, 0.104]})
figure = draw_curves(
    by_dim_table,
    x="dim",
    x_label="dimensions of the shared space",
    rows={"l2m": "gap (L2M)", "l2m_start": "gap before training"},
    lines="series",
    steps="log",
    published=fahim,
    source="published (Fahim et al.)",
)

# %%
settings.save(
    figure,
    "dimension",
    alt="Two panels over the dimension of the shared space: the gap, L2M, after and before "
    "training. Dots are seeds. At scale 100 the dots of one dimension are far from each other, "
    "most in 16 dimensions; with a learned scale the gap is small and grows a little with the "
    "dimension. The published values grow steeply.",
    caption="With a learned scale the gap falls with the dimension. At scale 100 the "
    "seeds differ more than the dimensions do, most of all in few dimensions.",
    data={"ours": by_dim_table[["variant", "seed", "l2m", "l2m_start"]].round(3)},
)


# %%
def shrinks(series, low, high=128):
    return of(by_dim, f"{high} dims, {series}") - of(by_dim, f"{low} dims, {series}")


lines = []
for series, part in by_dim_table.groupby("series"):
    ends = ", ".join(f"{dim}: {spread(rows['l2m'])}" for dim, rows in part.groupby("dim"))
    words = "; ".join(
        f"128 minus {low} dimensions, {spread(change)}: *fewer dimensions, smaller gap: "
        f"{in_runs(change)}*"
        for low, change in ((low, shrinks(series, low)) for low in (dims[0], 32))
    )
    lines.append(f"- {series}: L2M {ends}. {words}.")
Markdown("**Measured here:**\n\n" + "\n".join(lines))

# %% [markdown]
# In few dimensions two random cones point in directions that may be nearly the same or nearly
# opposite, so the start differs more from seed to seed (lower panel), and scale 100 keeps some of
# that. A learned scale does not climb to 100 in so few steps (section 6 prints where it ends), so
# its gap is small in any dimension.
#
# ### 5. Do few dimensions carry the gap?
#
# *Published* (Schrodi et al., 2025, section 4): in CLIP a few dimensions hold most of the gap. Sort
# the dimensions by their part in the squared length of the gap vector, and add up. A gap that
# prefers no dimension is a random direction; the band holds 95 % of such directions.


# %%
def profile(space):
    return np.cumsum(dimension_profile(*space).fractions)


def band(dim, rng):
    squares = -np.sort(-(rng.normal(size=(500, dim)) ** 2), axis=1)
    fractions = np.cumsum(squares, axis=1) / squares.sum(axis=1, keepdims=True)
    return np.quantile(fractions, [0.025, 0.975], axis=0)


# %%
def heads_space(variant, seed, pairs=test):
    heads = trained.heads[variant, seed]
    return heads.embed_images(pairs[0]), heads.embed_texts(pairs[1])


profiles = {name: [profile(space)] for name, space in spaces.items()}
profiles["heads, scale 100"] = [profile(heads_space("scale 100", seed)) for seed in seeds]
bands = {name: band(len(curves_[0]), settings.rng(2)) for name, curves_ in profiles.items()}

# %%
figure = new_figure(3.4)
grid = figure.subplots(1, len(profiles), sharey=True)
grid[0].set_ylabel("fraction of the squared gap")
for axes, (name, lines_) in zip(grid, profiles.items(), strict=True):
    ranks = np.arange(1, len(lines_[0]) + 1)
    axes.fill_between(ranks, *bands[name], color=palette.PAIR_COLOUR, alpha=0.5, linewidth=0)
    for line in lines_:
        axes.plot(ranks, line, color=palette.SERIES[0].colour, marker="none")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set(xlabel="largest dimensions", title=f"{name}\n{len(ranks)} dimensions", ylim=(0, 1.02))

# %%
settings.save(
    figure,
    "few_dimensions",
    alt="Fraction of the squared gap in the largest dimensions, one panel per set of embeddings, "
    "with a grey band for random directions. In the top 8: "
    + "; ".join(f"{name} {lines_[0][7]:.2f}" for name, lines_ in profiles.items())
    + ".",
    caption="Grey: a gap in a random direction. Real CLIP's gap lies in few dimensions; the gaps "
    "of mini-clip and of our heads are spread like a random direction, or nearly.",
    data={name: lines_[0].round(4) for name, lines_ in profiles.items()},
)

# %%
rows = {
    name: {f"top {m}": spread([line[m - 1] for line in lines_]) for m in (1, 2, 8)}
    | {
        "top 8, random direction": "{:.3f} to {:.3f}".format(*bands[name][:, 7]),
        "above the band": in_runs([line[7] for line in lines_], bands[name][1, 7]),
    }
    for name, lines_ in profiles.items()
}
few_rows = [(name, list(row.values())) for name, row in rows.items()]
pd.DataFrame(rows).T

# %% [markdown]
# A caution: this is a statement about axes. Turn all embeddings by one random rotation and no
# cosine changes, but the gap is a random direction then (exercise 2). Few dimensions *carry* the
# gap where training has made single axes special; they are not its cause.
#
# ### 6. Softmax or sigmoid loss
#
# SigLIP judges each pair of the batch on its own: is this a pair, yes or no? Its loss has a bias,
# which starts at -10 because most cells of a batch are no pairs. We compare it with the softmax
# loss, and leave the bias out once. All scales are learned.

# %%
losses = {
    "softmax": learned,
    "sigmoid, bias from -10": {
        **{"loss": "sigmoid", "logit_scale": 10, "learn_scale": True},
        **{"logit_bias": -10, "learn_bias": True},
    },
    "sigmoid without bias": {"loss": "sigmoid", "logit_scale": 10, "learn_scale": True},
}
by_loss = compare_heads(train, test, losses, seeds=seeds, steps=steps)

# %%
settings.save(
    draw_curves(by_loss.history.assign(panel="scales learned"), **by_step),
    "losses",
    alt="L2M on held-out pairs against the training step, three losses, one line per seed. Softmax "
    "and sigmoid with a bias fall to a small gap; sigmoid without a bias rises above the start.",
    caption="Softmax and sigmoid with its bias both end at a small gap. Without the bias the "
    "sigmoid loss opens the gap.",
    data={"history": by_loss.history[["variant", "seed", "step", "l2m"]]},
)

# %%
columns = ["l2m_start", "l2m", "rmg", "i2t_recall", "t2i_recall", "logit_scale", "logit_bias"]
by_loss.table.groupby("variant", sort=False)[columns].agg(spread)

# %%
softmax, sigmoid, no_bias = (of(by_loss, variant) for variant in losses)
ends = [of(by_loss, variant, "logit_scale").mean() for variant in losses]
Markdown(
    f"**Measured here.** Softmax {spread(softmax)}, sigmoid {spread(sigmoid)}: sigmoid minus "
    f"softmax, {spread(sigmoid - softmax)}. Their scales end at {ends[0]:.0f} and "
    f"{ends[1]:.0f}, and a lower scale goes with a narrower gap (section 3). Without its bias the "
    f"sigmoid loss ends at {spread(no_bias)}; the start was "
    f"{spread(of(by_loss, 'softmax', 'l2m_start'))}. Almost all cells of a batch are no pairs, "
    "each asks for a cosine below 0, and moving all texts to the other side of all images "
    "serves them at once. The bias does that job without moving anything."
)

# %% [markdown]
# ### 7. Own heads or one head for both
#
# If two random encoders make two cones, one encoder for both should make one (Eslami and de Melo,
# AlignCLIP, 2025, share most of the parameters; their numbers are not in the sources that we could
# read). One head needs features of one length, which ours have. But our features are aligned
# already, so that a shared head has it easy. As a control we first turn all image features by a
# random rotation, which takes that away and keeps everything else.

# %%
rotation = np.linalg.qr(settings.rng(3).normal(size=(train[0].shape[1],) * 2))[0]
turned_train, turned_test = (train[0] @ rotation, train[1]), (test[0] @ rotation, test[1])
print(f"L2M of the features {l2m(*test):.2f}, with turned images {l2m(*turned_test):.2f}")
one = {"one head": {"shared": True}}
one_head = compare_heads(train, test, one, seeds=seeds, steps=steps)
turned = {"own heads, turned": {}, "one head, turned": {"shared": True}}
one_turned = compare_heads(turned_train, turned_test, turned, seeds=seeds, steps=steps)


# %%
def as_own(frame):
    return frame.assign(variant=frame["variant"].str.removesuffix(", turned"))


own_heads = history(100)
own_heads = own_heads[own_heads["variant"] == "as the weights fell"].assign(variant="own heads")
heads_panels = {
    "aligned features": pd.concat([own_heads, one_head.history]),
    "images turned": as_own(one_turned.history),
}
settings.save(
    draw_curves(pd.concat([f.assign(panel=n) for n, f in heads_panels.items()]), **by_step),
    "shared_heads",
    alt="Two panels, L2M on held-out pairs against the training step at logit scale 100, with the "
    "features as they are and with the image features turned. Own heads start and end wide; one "
    "head for both starts and ends near 0.15 in both panels.",
    caption="One head for both modalities has a small gap from the first step to the last, even at "
    "scale 100 and with features that are not aligned.",
    data={name: frame[["variant", "seed", "step", "l2m"]] for name, frame in heads_panels.items()},
)

# %%
every = pd.concat([trained.table, one_head.table, one_turned.table])
every = every.replace({"variant": {"scale 100": "own heads"}})
chosen = ["own heads", "one head", "own heads, turned", "one head, turned"]
columns = ["l2m_start", "l2m", "rmg", "i2t_recall", "t2i_recall"]
every[every["variant"].isin(chosen)].groupby("variant")[columns].agg(spread).loc[chosen]

# %%
narrower = wide - of(one_head, "one head")
narrower_turned = of(one_turned, "own heads, turned") - of(one_turned, "one head, turned")
recall = {name: part["i2t_recall"].mean() for name, part in every.groupby("variant")}
Markdown(
    f"**One head, narrower gap: {in_runs(narrower)}**, by "
    f"{spread(narrower)}; with turned images too: "
    f"{in_runs(narrower_turned)}, by {spread(narrower_turned)}. "
    f"Recall@1 from image to text goes from {recall['own heads']:.1%} to {recall['one head']:.1%} "
    f"with aligned features, and from {recall['own heads, turned']:.1%} to "
    f"{recall['one head, turned']:.1%} with turned images. So the narrow gap is the head's, and "
    "much of a gain in recall is the features'."
)

# %% [markdown]
# ## What could fool us
#
# ### Is the gap at scale 100 only slow training?
#
# Perhaps all starts would meet if we waited. We train three times as long, and with a smaller and a
# larger learning rate (it was 0.002 so far).

# %%
patience = {"usual start": {}, "closed start": {"amend": True}}
longer = compare_heads(train, test, patience, seeds=seeds, steps=3 * steps)
rates = {f"learning rate {rate:g}": {"learning_rate": rate} for rate in (0.0005, 0.01)}
by_rate = compare_heads(train, test, rates, seeds=seeds, steps=steps)

# %%
watched = {"three times as long": longer.history, "learning rates": by_rate.history}
settings.save(
    draw_curves(pd.concat([f.assign(panel=n) for n, f in watched.items()]), **by_step),
    "slow_training",
    alt="Two panels at logit scale 100, L2M on held-out pairs against the training step. Left, "
    "three times as long from the usual and from the closed start: the lines come nearer and do "
    "not meet. Right, two learning rates: the larger the rate, the narrower the gap at the end.",
    caption="At scale 100 the two starts come nearer, slowly, because the loss is nearly 0. A "
    "larger learning rate ends at a narrower gap: its width is not a property of the loss alone.",
    data={name: frame[["variant", "seed", "step", "l2m"]] for name, frame in watched.items()},
)

# %%
end = {name: of(longer, name) for name in patience}
last_loss = longer.history.groupby(["variant", "seed"])["loss"].last().groupby("variant").mean()
times = end["usual start"] / of(trained, "scale 10")
rate_ends = "; ".join(f"{name} {spread(of(by_rate, name))}" for name in rates)
Markdown(
    f"**Measured here.** After {3 * steps} steps instead of {steps} the gap is "
    f"{spread(end['usual start'])} instead of {spread(wide)} from the usual start, and "
    f"{spread(end['closed start'])} instead of {spread(closed_first)} from the closed one. The "
    f"distance of the two has gone from {spread(wide - closed_first)} to "
    f"{spread(end['usual start'] - end['closed start'])}. So *part of it is patience*; but the "
    f"loss on training batches is {last_loss['usual start']:.3f} by then, and little is left that "
    f"could move the heads. With other learning rates: {rate_ends}. Patience does not explain "
    f"all: the gap after {3 * steps} steps at scale 100 is {times.mean():.0f} times that after "
    f"{steps} steps at scale 10."
)

# %% [markdown]
# ### Is the minimum of the loss at zero shift a law?
#
# The landscapes above are of pairs that were not trained on. On its training pairs a model is
# right nearly always, and the loss is lowest elsewhere. The same sweep for our heads at scale 100,
# on both kinds of pairs:

# %%
kinds_of_pairs = {"training pairs": train, "held-out pairs": test}
rows = []
for kind, pairs in kinds_of_pairs.items():
    for seed in seeds:
        space = heads_space("scale 100", seed, pairs)
        sweep = shift_sweep(*space, ways * l2m(*space), logit_scales=[100], batch_size=50)
        own_loss, best = sweep["loss"][np.isclose(ways, 0).argmax()], sweep["loss"].idxmin()
        found = {"pairs": kind, "seed": seed, "L2M": l2m(*space), "loss": own_loss}
        rows.append(
            found | {"lowest at L2M": sweep["distance"][best], "its loss": sweep["loss"][best]}
        )
where = pd.DataFrame(rows)
where.groupby("pairs")[["L2M", "loss", "lowest at L2M", "its loss"]].agg(spread)

# %%
on = {
    kind: (part["lowest at L2M"] - part["L2M"]).to_numpy() for kind, part in where.groupby("pairs")
}
Markdown(
    "**Measured here.** On training pairs the loss is lowest with a gap that differs from the "
    f"heads' own by {spread(on['training pairs'])}, on held-out pairs by "
    f"{spread(on['held-out pairs'])}. Where the model errs, a scale of 100 is overconfident, and "
    "a wide gap, which makes cosines more alike, may soften that. *The loss is lowest at no "
    "shift* is nearly true of the two models above on held-out pairs, not of every model and "
    "every pair."
)

# %% [markdown]
# ### What else
#
# - The features come from towers that were trained to align these very images and names. A head
#   on them has little to learn, and its training loss is soon near 0. A tower that is trained from
#   scratch for days keeps a loss to work on.
# - Three seeds show that a difference is larger than the accident of weights and batches. They do
#   not show that it holds for other data.
# - The published numbers are of photographs, of whole models, and partly of models that were
#   trained before. Only directions can be compared, never levels.
# - One cause is missing here: texts that say more, or other things, than an image shows. Schrodi
#   et al. call it information imbalance. A name says less than a drawing, and that is all we have.
#
# ## Claims in one table


# %%
claims = {
    "random ReLU layers raise cosines (Liang)": in_runs(
        np.diff(cones["ReLU with bias"]), 0, "layers"
    ),
    "two random encoders, two cones (Liang)": in_runs([within - between]),
    "scale 100: a closed gap opens (Liang)": in_runs(opened),
    "scale 100: the usual gap widens (Liang)": in_runs(grown),
    "scale 10 to 100: the gap widens (Liang)": in_runs(by_seed.loc[100] - by_seed.loc[10]),
    "scale 100: smaller in 32 than 128 dims (Fahim)": in_runs(shrinks("scale 100", 32)),
    f"scale 100: smaller in {dims[0]} than 128 dims": in_runs(shrinks("scale 100", dims[0])),
    "scale learned: smaller in 32 dims (Fahim)": in_runs(shrinks("scale learned", 32)),
    "one head narrows the gap (AlignCLIP)": in_runs(narrower),
}
few = {f"few dimensions: {name} (Schrodi)": row[-1] for name, row in few_rows}
pd.DataFrame({"holds": claims | few}).rename_axis("claim (source)")

# %% [markdown]
# ## Exercises
#
# 1. Send the images' features through one random *linear* layer without bias and the names'
#    features through another. Is there a gap, and why?
# 2. Turn both modalities of mini-clip by one random rotation. Which of L2M, RMG and the fraction of
#    the gap in its top 8 dimensions change?
# 3. A shift makes cosines more or less alike, which is what a logit scale does too. Give every
#    shift the scale that suits it best. Where is the loss of mini-clip lowest now?

# %% tags=["solution"]
linear = {"activation": "linear", "bias": False}
ends = [
    random_layers(side, 1, rng=settings.rng(20 + n), **linear)[1] for n, side in enumerate(test)
]
print(f"L2M {l2m(*ends):.2f}; after ReLU layers with bias, before training:", end=" ")
print(spread(of(trained, "scale 100", "l2m_start")))
print("Linear layers keep cosines, so each side is as wide a cone as its features were,")
print(f"{cone(test[0]):.2f} and {cone(test[1]):.2f}: the centroids are short, and so is the gap.")
assert l2m(*ends) < 0.7

# %% tags=["solution"]
space = spaces["mini-clip"]
turn = np.linalg.qr(settings.rng(4).normal(size=(space[0].shape[1],) * 2))[0]
for label, pair in (("as it is", space), ("turned", tuple(side @ turn for side in space))):
    print(f"{label:9} L2M {l2m(*pair):.3f}  RMG {rmg(*pair):.3f}  top 8 {profile(pair)[7]:.3f}")
print("L2M and RMG are made of cosines and stay; the fraction depends on the axes.")
assert np.isclose(rmg(*space), rmg(*(side @ turn for side in space)), atol=1e-5)

# %% tags=["solution"]
grid_of_scales = (10, 20, 30, 50, 100)
sweep = shift_sweep(*space, ways * l2m(*space), logit_scales=grid_of_scales, batch_size=50)
at_best_scale = sweep.loc[sweep.groupby("shift")["loss"].idxmin()]
print(at_best_scale.set_index("shift").round(3).to_string())
best = at_best_scale.loc[at_best_scale["loss"].idxmin()]
print(f"Lowest at L2M {best['distance']:.2f} and scale {best['logit_scale']:g}.")

# %% [markdown]
# ## Summary
#
# - A network with random weights makes a cone of any input, and each network its own. Two towers
#   therefore start with a gap, before any data have been seen.
# - At a low logit scale training closes the gap, wherever it starts. At a high one the loss is
#   nearly 0 first: a wide gap shrinks slowly, and a closed one opens again.
# - One head for both modalities has no two cones, and no wide gap.
# - The sigmoid loss needs its bias: without it, the gap is what does the bias' work.
# - Which gap a model ends with is a matter of start, scale and optimiser together. No single number
#   of the literature can be taken over to another model.
#
# **References.** W. Liang, Y. Zhang, Y. Kwon, S. Yeung, J. Zou: Mind the Gap: Understanding the
# Modality Gap in Multi-modal Contrastive Representation Learning. NeurIPS 2022 (all numbers marked
# Liang et al., from the paper and its repository). A. Fahim, A. Murphy, A. Fyshe: It's Not a
# Modality Gap: Characterizing and Addressing the Contrastive Gap. 2024 (numbers from its
# repository). S. Schrodi, D. T. Hoffmann, M. Argus, V. Fischer, T. Brox: Two Effects, One Trigger.
# ICLR 2025. S. Eslami, G. de Melo: Mitigate the Gap: Improving Cross-Modal Alignment in CLIP. ICLR
# 2025. Y. Cho, L. K. Saul: Kernel Methods for Deep Learning. NIPS 2009. A. Radford et al.: Learning
# Transferable Visual Models From Natural Language Supervision. ICML 2021. X. Zhai et al.: Sigmoid
# Loss for Language Image Pre-Training. ICCV 2023.

# %%
n_heads = sum(
    len(c.heads) for c in (trained, by_dim, by_loss, one_head, one_turned, longer, by_rate)
)
print(f"{n_heads} pairs of heads trained; {time.process_time():.0f} s of processor time in all")

# %%
provenance(seed=settings.seed)
