# %% [markdown]
# # Start here: two kinds of scores, one list
#
# **In one sentence:** a multimodal encoder gives a document two scores, one for its text and one
# for its image, and which document comes first depends on how two numbers from two scales are
# put together.
#
# Kind: tutorial.
#
# ## Question and answer
#
# *A document has a text and an image, and a query is compared with both. May the two lists of
# hits be merged by their scores?*
#
# Only by someone who knows the two scales. The example by hand ends in a figure, `weights`, in
# which the winner changes with the weight and with the ruler, although the documents stay the
# same. On real vectors the figure `hits_image` shows a query for which the relevant image is among
# the best images, and a merge by raw score buries it under texts. How often that happens, and
# whether the usual merges help or harm, is counted at the end of the section *Result*.

# %% [markdown]
# ## What you need
#
# *Before:* an **embedding** is a list of numbers that an encoder gives a text or an image; the
# **cosine** of two of them, between -1 and 1, says how similar they are. Nothing else. *Time:*
# less than half a minute with cached vectors, half a minute more if they have to be made first.
# *Data:* the test split of the bundled corpus [pictograms](../data/pictograms/README.md), drawings
# with texts about the thing shown, and the bundled encoder
# [mini-clip](../data/models/mini-clip/README.md), trained the way CLIP is.

# %% [markdown]
# ## Setup

# %%
import numpy as np
import pandas as pd
from IPython.display import Markdown

import mmgap as mg
from mmgap.evaluation import difference_table, evaluate, format_table, verdict
from mmgap.fusion import COMBINERS, comb_max, comb_mean
from mmgap.notebook import notebook
from mmgap.plots import new_figure, series_marks
from mmgap.plots.palette import QUIET_COLOUR
from mmgap.provenance import provenance
from mmgap.strategies import Pool, score_contrasts

settings = notebook("00_start_here", seed=0)

# %% [markdown]
# ## Parameters

# %% tags=["parameters"]
name = "mini-clip"
every = settings.size(full=1, fast=5)  # take every n-th query
k = 10  # recall@k: a document counts as found if it is among the first k
first = 3  # hits shown in a gallery

# %% [markdown]
# ## By hand
#
# The example of the article that this project starts from ("Fair scoring for multimodal
# documents", Jina AI, 25 May 2025; the four scores are *published*, by jina-clip-v2). The query is
# "tennis players celebrating championship victory". Two articles have a headline and an image
# each; that of article A shows a trophy.

# %%
scores = pd.DataFrame(
    {"text": [0.72, 0.23], "image": [0.31, 0.54]}, index=["article A", "article B"]
)
scores

# %% [markdown]
# By text article A is the better hit, by image article B. Each of the two is a **leg**: one
# modality's path from the query to a ranked list. A search engine that keeps all vectors in one
# index returns one list, sorted by score, whichever leg a score comes from. This is the **raw
# merge**:

# %%
hits = scores.stack().sort_values(ascending=False)
hits.rename_axis(["document", "leg"]).rename("score").to_frame()

# %% [markdown]
# Article A comes first. Two other rules give each document one score: the larger of the two
# (**max**, which is the raw merge with each document listed once), or their **mean**.

# %%
rules = pd.DataFrame({"max": scores.max(axis=1), "mean": scores.mean(axis=1)})
assert hits.index[0][0] == "article A"
assert (rules.idxmax() == "article A").all()
rules

# %% [markdown]
# Three rules, one winner. But is .72 better than .54? It would be, if one ruler had measured both.
#
# ### A weight
#
# Let the text count with weight $w$ and the image with $1 - w$. The mean is $w = 0.5$. Article A
# leads by text and B by image, so the two are equal at one weight:
#
# $$w = \frac{\text{lead of B by image}}{\text{lead of B by image} + \text{lead of A by text}}$$


# %%
def turning_point(scores):
    lead = scores.loc["article A"] - scores.loc["article B"]
    return -lead["image"] / (lead["text"] - lead["image"])


print(f"equal at w = {turning_point(scores):.2f}; below that, article B wins")
assert np.isclose(turning_point(scores), 0.23 / 0.72)

# %% [markdown]
# ### Another ruler
#
# The article also says where the scores of its encoder lie: for texts from about 0.2 to 0.8, for
# images from about 0.4 to 0.6 (*published*). So let us measure each score from the lower end of its
# range, in units of its range. A text score of 0.72 is then close to the top of what texts get;
# an image score of 0.54 is too, and one of 0.31 is lower than anything usual.

# %%
low, high = pd.Series({"text": 0.2, "image": 0.4}), pd.Series({"text": 0.8, "image": 0.6})
rescaled = (scores - low) / (high - low)
print(f"equal at w = {turning_point(rescaled):.2f}")
assert rescaled.mean(axis=1).idxmax() == "article B"
assert rescaled.max(axis=1).idxmax() == "article A"
rescaled.round(2).assign(max=rescaled.max(axis=1).round(2), mean=rescaled.mean(axis=1).round(2))

# %% [markdown]
# Now the mean prefers article B. Nothing has happened to the articles; the ruler is another one.

# %%
weights = np.linspace(0, 1, 101)
figure = new_figure(3.4)
panels = {"raw cosines": scores, "each kind within its range": rescaled}
grid = figure.subplots(1, 2)
for axes, (title, table) in zip(grid, panels.items(), strict=True):
    for article, mark in series_marks(table.index).items():
        by_text, by_image = table.loc[article]
        combined = weights * by_text + (1 - weights) * by_image
        axes.plot(weights, combined, color=mark.colour, linestyle=mark.line, marker="none")
        where = (1, combined[-1]) if article == "article A" else (0, combined[0])
        side = {"ha": "right" if where[0] else "left", "xytext": (0, 5), "color": mark.colour}
        axes.annotate(article, where, va="bottom", textcoords="offset points", **side)
    turn = turning_point(table)
    axes.axvline(turn, color=QUIET_COLOUR, linestyle=":")
    foot = (turn, 0), (5, 5), ("data", "axes fraction"), "offset points"
    axes.annotate(f"w = {turn:.2f}", *foot, va="bottom")
    axes.set(title=title, xlabel="weight w of the text", ylabel="combined score")
    axes.margins(y=0.15)

# %%
settings.save(
    figure,
    "weights",
    alt="Two panels, combined score of articles A and B against the weight of the text, straight "
    "lines that cross once. With raw cosines they cross at 0.32, with scores rescaled to their "
    "ranges at 0.58. Article B leads left of the crossing, article A right of it.",
    caption="Which article wins depends on the weight, and the weight at which it turns depends on "
    "the ruler. With equal weights, 0.5, the two panels disagree.",
    data={"scores": scores, "rescaled": rescaled.round(6)},
)

# %% [markdown]
# That is claim **A5** of the article, any fixed weight is arbitrary, in its smallest form: a weight
# is a guess about two scales. Rescaling is a guess as well, as long as nobody has checked the
# ranges. Neither says which article *is* relevant; that takes queries with judged documents.
#
# ## With mmgap
#
# The same rules from the package. They take one row for each query, one column for each document.

# %%
text, image = scores["text"].to_numpy()[None], scores["image"].to_numpy()[None]
assert np.allclose(comb_max(text, image)[0], rules["max"])
assert np.allclose(comb_mean(text, image)[0], rules["mean"])

# %% [markdown]
# And now with real images, real texts and a real encoder: three lines from the corpus to the
# vectors. The pool is condition (a) of the test split: the drawings are by artists that the encoder
# has not seen.

# %%
corpus = mg.load_corpus("pictograms", split="test", condition="style")
kept = set(corpus.query_ids[::every])
corpus = corpus.select_queries(lambda query: query.id in kept)
encoder = mg.load_encoder(name)
vectors = mg.embed(corpus, encoder, progress=False)
corpus

# %% [markdown]
# Every query now has a cosine with every text and with every image. One query and one of its
# relevant documents:

# %%
query = corpus.queries[0]
document = corpus.document(min(corpus.qrels.relevant(query.id)))
row, column = 0, corpus.doc_ids.index(document.id)
print(f"query       {query.text!r}")
print(f"document    {document.id}, text {document.text!r}")
print(f"query-text  {vectors.scores('text')[row, column]:.3f}")
print(f"query-image {vectors.scores('image')[row, column]:.3f}")
by_hand = vectors.queries[row] @ vectors.image.embeddings[column]
assert np.isclose(by_hand, vectors.scores("image")[row, column], atol=1e-6)

# %% [markdown]
# ## Result
#
# ### Two scales
#
# All queries with all texts, and all queries with all images, in one figure. Filled: all pairs.
# Outlined: the pairs in which the document is relevant to the query.

# %%
distributions = mg.score_distributions(vectors)
middle = {leg: sample.quantiles[3] for leg, sample in distributions.samples.items()}
settings.save(
    mg.plots.score_histograms({name: distributions}, height=2.6),
    "histogram",
    alt=f"Histograms of {name}'s cosines on one axis. Medians: query-text {middle['text']:.2f}, "
    f"query-image {middle['image']:.2f}; for relevant pairs {middle['text relevant']:.2f} and "
    f"{middle['image relevant']:.2f}.",
    caption="Where the two kinds of scores lie. A merge by raw score compares the two outlined "
    "shapes with each other and with both filled ones.",
    data={leg: sample.counts for leg, sample in distributions.samples.items()},
)

# %% [markdown]
# Claim **A1** of the article is that query-text scores sit higher than query-image scores. Take a
# random text and a random image for one and the same query: how often does the text score higher?
# One half would mean that neither does. The same for the pairs that matter most: a text that is
# *not* relevant to the query against an image that is.

# %%
contrasts = score_contrasts(vectors).set_index("measure")
a1 = contrasts.loc["text_above_image"]
a1_says = verdict(a1["ci_low"], a1["ci_high"], threshold=0.5)
beats, beaten = contrasts["value"][["text_beats_relevant_image", "image_beats_relevant_text"]]
Markdown(
    f"**A1 {a1_says}** ({name}, measured). A random text scores higher than a random image in "
    f"{a1['value']:.1%} of cases [{a1['ci_low']:.1%}, {a1['ci_high']:.1%}]. A random "
    f"*non-relevant* text scores higher than a *relevant* image in {beats:.1%}; a random "
    f"non-relevant image scores higher than a relevant text in {beaten:.1%}. *Published* "
    "(jina-clip-v2, EDIS): texts about 0.2 to 0.8, images about 0.4 to 0.6."
)

# %% [markdown]
# That may sound harmless. But one percent of the texts of this corpus is more than ten documents,
# and ten is what a reader looks at.
#
# ### Three searches for one query
#
# We search by text, by image, and by both with the hits merged by raw cosine. `ranks` holds the
# rank of the first relevant document, the inverse of the reciprocal rank.

# %%
runs = {run.name: run for run in mg.run_strategies(vectors)}
ranks = pd.DataFrame(
    {
        label: 1 / evaluate(run, corpus.qrels, ["mrr"])["expected"]["mrr"]
        for label, run in runs.items()
    }
)
searches = {"by text": "text leg", "by image": "image leg", "merged by raw cosine": "max"}
columns = {label: runs[strategy] for label, strategy in searches.items()}

# %% [markdown]
# To show what goes wrong we take the worst case, by a rule. We look at the queries that are a plain
# name and for which one leg (`never`) has no relevant document among its first ten. Of these we
# take the one that loses most reciprocal rank from a `better` search to a `worse` one; of several,
# the shortest.


# %%
names = corpus.query_frame().query("phrasing == 'name'")


def loses_most(worse, better, never):
    lost = (1 / ranks[better] - 1 / ranks[worse])[ranks[never] > k].round(6)
    cases = names.assign(lost=-lost, length=names["text"].str.len()).dropna()
    return cases.sort_values(["lost", "length"], kind="stable").index[0]


by_image = loses_most(worse="max", better="image leg", never="text leg")
image_rank, merged_rank = ranks.loc[by_image, ["image leg", "max"]]
merged_words = "not at all" if np.isinf(merged_rank) else f"at rank {merged_rank:.0f}"

# %%
settings.save(
    mg.plots.gallery(corpus, by_image, columns, k=first),
    "hits_image",
    alt=f"The first {first} hits of one query in three columns: by text, by image, merged by raw "
    f"cosine. By image a relevant document is at rank {image_rank:.0f}, framed green with a "
    "tick. Neither the text column nor the merged column holds one.",
    caption=f"Only the image leg finds a relevant document (rank {image_rank:.0f}). The merge by "
    f"raw cosine returns it {merged_words}: non-relevant texts score higher than it does.",
    data={"ranks": ranks.loc[[by_image]].round(3)},
)

# %% [markdown]
# Compare the scores in the columns. The relevant image has one of the highest cosines that an image
# gets for this query, and lower ones than texts get that have little to do with it. The scores of
# the third column are those of the first.
#
# The other way round: a query for which the text leg finds a relevant document and the image leg
# does not.

# %%
by_text = loses_most(worse="image leg", better="text leg", never="image leg")
text_rank, merged_rank = ranks.loc[by_text, ["text leg", "max"]]
settings.save(
    mg.plots.gallery(corpus, by_text, columns, k=first),
    "hits_text",
    alt=f"The first {first} hits of one query in three columns: by text, by image, merged by raw "
    f"cosine. By text a relevant document is at rank {text_rank:.0f}, framed green with a "
    "tick; the image column holds none.",
    caption=f"Only the text leg finds a relevant document (rank {text_rank:.0f}); the merge by raw "
    f"cosine has it at rank {merged_rank:.0f}.",
    data={"ranks": ranks.loc[[by_text]].round(3)},
)

# %% [markdown]
# ### How often
#
# Two queries are two anecdotes, chosen because they are extreme. So count: which leg has a relevant
# document among its first ten, and in what fraction of those queries does a merge have one too?

# %%
found = ranks <= k
found_by = np.select(
    [found["text leg"] & found["image leg"], found["text leg"], found["image leg"]],
    ["both legs", "the text leg only", "the image leg only"],
    "neither leg",
)
kept_by = found[["max", "mean", "RRF"]].groupby(found_by).mean()
kept_by.insert(0, "queries", pd.Series(found_by).value_counts())
assert kept_by["queries"].sum() == len(corpus.queries)
percent = kept_by[["max", "mean", "RRF"]].mul(100).round().astype(int)
percent.rename_axis("found by").assign(queries=kept_by["queries"])

# %%
text_only, image_only = kept_by.loc["the text leg only"], kept_by.loc["the image leg only"]
Markdown(
    "A query is found where one of its relevant documents is among the first ten. Of the "
    f"{text_only['queries']:.0f} queries that only the text leg finds, the merge by raw cosine "
    f"(max) keeps **{text_only['max']:.0%}**; of the {image_only['queries']:.0f} that only the "
    f"image leg finds, **{image_only['max']:.0%}**. The mean keeps {text_only['mean']:.0%} and "
    f"{image_only['mean']:.0%}, RRF {text_only['RRF']:.0%} and {image_only['RRF']:.0%}."
)

# %% [markdown]
# ### What it costs: the recall table
#
# **recall@10** is the fraction of a query's relevant documents among the first ten, averaged over
# queries; **hit@10** the fraction of queries with at least one. RRF adds 1 / (60 + rank) over both
# lists, so it reads ranks and no scores. In percent, with 95 % CIs over queries; *ties* tells
# the worst and the best order of documents with equal scores.

# %%
table = mg.recall_table(runs.values(), corpus.qrels, k=k, measures=[f"recall@{k}", f"hit@{k}"])
format_table(table)

# %% [markdown]
# The article reports four findings in words. To test one, compare two rows query by query: the
# difference in recall@10, with an interval over queries. A merge *fails* if it is no better than
# the better of the two legs alone, because it asks both.

# %%
recall = table[table["measure"] == f"recall@{k}"].set_index("strategy")["value"]
better = recall[["text leg", "image leg"]].idxmax()
tests = {
    "A2": (
        "image leg",
        "text leg",
        "recall is higher by image than by text",
        "22.38 against 14.55",
    ),
    "A3": ("max", better, "taking the higher score fails", "14.55 merged by raw cosine"),
    "A4": ("mean", better, "averaging the raw scores fails", "no number"),
}

# %%
rows = {}
for claim, (strategy, against, words, published) in tests.items():
    pair = [runs[strategy], runs[against]]
    (row,) = difference_table(pair, corpus.qrels, against).itertuples()
    answer = verdict(row.ci_low, row.ci_high, claimed_above=claim == "A2")
    change = f"{100 * row.value:+.1f} [{100 * row.ci_low:+.1f}, {100 * row.ci_high:+.1f}]"
    measured = f"{strategy} - {against}: {change}"
    rows[claim] = {"claim": words, "published": published, "measured": measured, "verdict": answer}
verdicts = pd.DataFrame(rows).T

# %%
verdicts

# %% [markdown]
# *Published*: recall@10 of jina-clip-v2 on EDIS, news photographs with headlines. *Measured*:
# difference in points of recall@10, mini-clip on drawings, condition (a). Corpora and models are
# different, so compare the signs, not the numbers. All encoders, both conditions and every class of
# query are in [04_recall_tables](04_recall_tables.ipynb).

# %%
lines = [f"- **{claim}, {row['claim']}: {row['verdict']}.**" for claim, row in verdicts.iterrows()]
contradicted = verdicts.index[verdicts["verdict"] == "does not hold here"]
Markdown(
    "\n".join(lines)
    + f"\n\nOur numbers contradict {len(contradicted)} of these 3 claims"
    + (f": {', '.join(contradicted)}." if len(contradicted) else ".")
)

# %% [markdown]
# ## What could fool us
#
# ### One number for all queries
#
# Which leg is better is not a property of the encoder alone. Our queries come in four classes,
# known from how the corpus was made: **T**, documents are relevant by their texts; **I**, only by
# their images; **M**, some by text, some by image; **B**, only by both together. Another mixture of
# classes would turn the verdict on A2. (EDIS, too, was made so that the image matters.)

# %%
query_class = corpus.query_frame()["query_class"].astype(pd.CategoricalDtype([*"TIMB"]))
by_class = mg.recall_table(runs.values(), corpus.qrels, measures=[f"recall@{k}"], by=query_class)
wide = 100 * by_class.pivot(index="query_class", columns="strategy", values="value")
wide[list(runs)].assign(queries=query_class.value_counts()).round(1)

# %% [markdown]
# ### The ruler again
#
# The mean looks safe against an offset: if all images scored 0.1 higher, every mean would rise by
# 0.05, and the order would stay. A *stretch* is another matter. Let us change the ruler of the
# image scores of all candidates, and count the queries that get another first document.

# %%
candidates = Pool(vectors).candidates
image_scores = candidates.scores["image"]
rulers = {"as it is": image_scores, "0.1 higher": image_scores + 0.1, "doubled": 2 * image_scores}
firsts = {
    (rule, ruler): np.nanargmax(COMBINERS[rule](candidates.scores["text"], moved), axis=1)
    for rule in ("max", "mean", "rrf")
    for ruler, moved in rulers.items()
}
changed = pd.Series(firsts).unstack(sort=False)
changed = changed.apply(lambda row: row.map(lambda at: np.mean(at != row["as it is"])), axis=1)
(100 * changed).round(1)  # percent of queries with another first document

# %% [markdown]
# Only ranks (RRF) do not see the ruler. The price is that they do not see a clear win either: a
# small lead and a large one make the same rank 1.

# %%
assert (changed.loc["rrf"] == 0).all()
assert (changed["as it is"] == 0).all()

# %% [markdown]
# ### A case in which the mean fails
#
# All our documents have a text and an image. In a real archive some lack one. Let article C have a
# headline only, with a mediocre score. The mean of what there is, is that one score, measured by
# the ruler of texts alone, and it wins against articles that were averaged over both rulers.

# %%
with_c = pd.concat([scores, pd.DataFrame({"text": [0.60]}, index=["article C"])])
means = comb_mean(with_c[["text"]].to_numpy().T, with_c[["image"]].to_numpy().T)[0]
assert with_c.index[means.argmax()] == "article C"
with_c.assign(mean=means)

# %% [markdown]
# ### Drawings
#
# The images are emoji, icons and flags, and most texts were written about the thing, not about
# the image. A part of the texts says little ("Africa"), which is by construction. What carries
# over to other data is the structure (two rulers, one list), not a figure.
#
# ## Exercises
#
# 1. In the example by hand, how high would the image score of article B have to be for B to win by
#    max, and by mean?
# 2. Which weight would have been best on our corpus, for the queries of class T, and for those of
#    class I? Why may such a weight not be reported as a result?

# %% tags=["solution"]
text_a, image_a = scores.loc["article A"]
by_max = text_a
by_mean = text_a + image_a - scores.loc["article B", "text"]
print(f"by max more than {by_max:.2f}, by mean more than {by_mean:.2f}")
assert np.isclose(by_mean, 0.80)

# %% tags=["solution"]
weighted = []
for weight in np.linspace(0, 1, 11):
    mixed = weight * candidates.scores["text"] + (1 - weight) * image_scores
    run = mg.evaluation.Run.from_scores(
        f"{weight:.1f}", corpus.query_ids, corpus.doc_ids, candidates.documents, mixed
    )
    values = evaluate(run, corpus.qrels, [f"recall@{k}"])["expected"][f"recall@{k}"]
    weighted.append(values.groupby(query_class, observed=True).mean().rename(run.name))
best = pd.concat(weighted, axis=1).idxmax(axis=1)
print(", ".join(f"class {label}: w = {weight}" for label, weight in best.items()))
print("Chosen on the queries it is judged by; an honest weight comes from the calibration split.")

# %% [markdown]
# ## Summary
#
# - A document with a text and an image has two scores. They are cosines of the same encoder and
#   still lie on two scales.
# - A rule that compares or adds them is a statement about these scales, also when it is called max,
#   mean or raw merge.
# - Count over many queries, split by class of query, with an interval, before you believe in a
#   rule. What the article found on its data and what we found here are in the table of verdicts.
#
# **Where to go next.**
#
# - [01_score_distributions](01_score_distributions.ipynb): where the scores of several encoders
#   lie, and what training does to them.
# - [02_shared_space](02_shared_space.ipynb): what the space looks like, and what its maps cannot
#   tell.
# - [04_recall_tables](04_recall_tables.ipynb): recall by leg, merge, encoder, domain and class of
#   query.
#
# **References.** Jina AI: Fair scoring for multimodal documents, 25 May 2025 (EDIS, jina-clip-v2;
# all numbers marked published). S. Liu, W. Feng, T. Fu, W. Chen, W. Y. Wang: EDIS: Entity-Driven
# Image Search over Multimodal Web Content. EMNLP 2023. G. V. Cormack, C. L. A. Clarke, S.
# Büttcher: Reciprocal Rank Fusion Outperforms Condorcet and Individual Rank Learning Methods.
# SIGIR 2009.

# %%
provenance(seed=settings.seed)
