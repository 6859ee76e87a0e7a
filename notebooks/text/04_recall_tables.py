# %% [markdown]
# # Recall by leg and by merge
#
# **In one sentence:** which leg finds more depends on whether the texts or the images of a corpus
# are relevant, and a merge that takes the higher raw score follows the leg whose scores lie higher.
#
# Kind: figure. Here are the tables and figures for three claims of "Fair scoring for multimodal
# documents" (Jina AI, 25 May 2025): **A2** recall is higher by image than by text; **A3** taking
# the higher of the two scores fails; **A4** averaging the raw scores fails.
#
# ## Question and answer
#
# *Which leg should be searched, and does merging help?* A **leg** is one modality's path from the
# query to a ranked list: the text leg ranks documents by the cosine of query and text, the image
# leg by that of query and image.
#
# Which leg finds more depends on the class of the query and on the encoder; the tables below say
# how. A merge searches both legs, so it is worth its price only if it beats the better one. Where
# the scores of one modality lie above those of the other, the higher of two raw scores ranks as
# that leg does, and the search in the other leg changes nothing. An offset between the modalities
# does not change the mean's ranking, as long as every candidate has both scores. The figure of the
# section *A3 and A4* shows each merge against the better leg, and the summary has a verdict for
# every claim, encoder and condition. A reranker on one leg can reorder what that leg has listed and
# add nothing: figure *rows_1_and_2*.

# %% [markdown]
# ## What you need
#
# *Before:* [01_score_distributions](01_score_distributions.ipynb), which shows where the two kinds
# of scores lie. *Time:* about a minute with cached vectors, less in fast mode; three minutes more
# if the vectors have to be made first, and half a minute if the reranker has to score. *Data:* the
# test split of the bundled corpus [pictograms](../data/pictograms/README.md): drawings with texts
# about the thing shown, mostly not written for that drawing. It stands in for the structure of
# EDIS, the article's data, not for its content: EDIS has news photographs with headlines.
#
# Queries come in four classes. **T**: documents are relevant by their texts. **I**: only by their
# images. **M**: some by text, some by image. **B**: only by text and image together.
# And in two phrasings: the thing's **name**, or **new** words for it. The classes follow from how
# the corpus was made, not from an encoder.

# %% [markdown]
# ## Setup

# %%
import numpy as np
import pandas as pd
from IPython.display import Markdown

import mmgap as mg
from mmgap import strategies as st
from mmgap.evaluation import Run, difference_table, evaluate, format_table, verdict
from mmgap.fusion import COMBINERS
from mmgap.notebook import notebook
from mmgap.paths import results_dir
from mmgap.plots import difference_dots, gallery, recall_bars
from mmgap.plots.palette import QUIET_COLOUR
from mmgap.provenance import provenance
from mmgap.report import grouped_recall
from mmgap.strategies import TRIVIAL, Pool, merged_text_fraction

# %%
settings = notebook("04_recall_tables", seed=0)

# %% [markdown]
# ## Parameters

# %% tags=["parameters"]
encoders = settings.size(full=("mini-clip", "mini-siglip", "mini-aligned"), fast=("mini-clip",))
conditions = {"style": "(a) new styles", "concept": "(b) new concepts"}
languages = settings.size(full=("de", "es", "fr", "pl", "ru", "hi", "ja", "zh"), fast=("de",))
every = settings.size(full=2, fast=8)  # the reranker reads for every n-th query
measure = "recall@10"
k = 10

# %% [markdown]
# ## By hand
#
# One query, four documents, two of them relevant. The text scores lie higher than the image
# scores, as they do in a space with a gap.

# %%
documents = ["d1", "d2", "d3", "d4"]
relevant = {"d3", "d4"}
text = np.array([0.60, 0.55, 0.30, 0.50])
image = np.array([0.20, 0.15, 0.40, 0.35])
scores = {"text leg": text, "image leg": image, "max": np.maximum(text, image)}
scores["mean"] = (text + image) / 2

# %% [markdown]
# Recall@2 is the fraction of the relevant documents that are among the first two.

# %%
by_hand = {}
for name, values in scores.items():
    first_two = [documents[at] for at in np.argsort(-values)[:2]]
    by_hand[name] = len(relevant.intersection(first_two)) / len(relevant)
    print(f"{name:10} {first_two}  recall@2 {by_hand[name]:.1f}")
assert by_hand == {"text leg": 0, "image leg": 1, "max": 0, "mean": 0.5}

# %% [markdown]
# The higher score comes from the text in three documents of four, so *max* ranks as the text leg
# does and loses what the image leg had found. The mean keeps half of it.
#
# ## With mmgap
#
# A `Run` holds the ranked documents of every query; `evaluate` measures it, query by query.

# %%
qrels = {"q": dict.fromkeys(sorted(relevant), 1)}
columns = np.arange(4)[None]
for name, values in scores.items():
    run = Run.from_scores(name, ["q"], documents, columns, values[None])
    with_mmgap = evaluate(run, qrels, ["recall@2"])["expected"].loc["q", "recall@2"]
    assert np.isclose(with_mmgap, by_hand[name])

# %% [markdown]
# ### Ties
#
# Some rankings leave the order open. Reciprocal rank fusion (RRF) adds 1 / (60 + rank) for each
# list that has the document. Suppose that each leg returns two documents, and not the same ones:
# then the two documents at rank 1 get equal sums, and which of them comes first depends on sorting,
# not on relevance. mmgap gives the value expected over all orders, and the best and the worst.

# %%
missing = np.nan  # a leg gives no score to what it did not return
text_list = np.array([[0.60, 0.55, missing, missing]])
image_list = np.array([[missing, missing, 0.40, 0.35]])
fused = COMBINERS["rrf"](text_list, image_list)
run = Run.from_scores("RRF", ["q"], documents, columns, fused)
ties = evaluate(run, qrels, ["recall@1"]).loc["q"].unstack()
assert ties["recall@1"].to_dict() == {"expected": 0.25, "optimistic": 0.5, "pessimistic": 0}
ties

# %% [markdown]
# ## Result
#
# ### The table
#
# Both legs and three merges that need no fitting, for each encoder and condition. A leg lists its
# 100 best documents; a merge takes both lists and gives each document both scores. All strategies
# answer the same queries. Cells hold percent and, in brackets, the 95 % CI over queries;
# *ties* gives the worst and best order of equally scored documents.

# %%
vectors, runs, tables = {}, {}, []
for name in encoders:
    encoder = mg.load_encoder(name)
    for condition, label in conditions.items():
        corpus = mg.load_corpus("pictograms", split="test", condition=condition)
        vectors[name, label] = mg.embed(corpus, encoder, progress=False)
        runs[name, label] = mg.run_strategies(vectors[name, label])
        table = grouped_recall(vectors[name, label], k=k)
        tables.append(table.assign(encoder=name, condition=label))
table = pd.concat(tables, ignore_index=True)
table["panel"] = table["encoder"] + ", " + table["condition"]

# %%
keys = ["encoder", "condition", "strategy"]
overall = table[table["group_by"] == "all"]
format_table(overall[[*keys, *overall.loc[:, "measure":"pessimistic"]]])

# %%
settings.save(
    recall_bars(overall, panels="panel", columns=2),
    "recall",
    alt=f"Dot plot of {measure} with 95 % CIs: five strategies (text leg, image leg, max, "
    f"mean, RRF) down, one panel for each of {overall['panel'].nunique()} pairs of encoder and "
    "condition.",
    caption=f"{measure} of both legs and three merges that need no fitting, by encoder and test "
    "condition.",
    data={"recall": overall[["panel", "strategy", "measure", "value"]].round(4)},
)

# %% [markdown]
# The same table is written to `results/recall.csv` by `mmgap report`, which `make suite` runs.
#
# ### By domain, by phrasing
#
# For one encoder, so that the table stays readable: what kind of thing is asked for, and in whose
# words.


# %%
def interval(rows, form="{:.1f}"):
    cells = (100 * rows[["value", "ci_low", "ci_high"]]).map(form.format)
    return cells["value"] + " [" + cells["ci_low"] + ", " + cells["ci_high"] + "]"


def wide(group_by, encoder="mini-clip"):
    kept = (table["group_by"] == group_by) & (table["encoder"] == encoder)
    rows = table[kept & (table["measure"] == measure)].assign(cell=interval)
    found = rows.pivot(index=["condition", "group"], columns="strategy", values="cell")
    return found[list(dict.fromkeys(rows["strategy"]))]


# %%
wide("phrasing")

# %%
wide("domain")

# %% [markdown]
# ### A2: is recall higher by image?
#
# *Published (EDIS, jina-clip-v2): recall@10 is 14.55 by text and 22.38 by image, so yes.* Here the
# question is put to each class of queries.

# %%
classes = table[(table["group_by"] == "query_class") & (table["encoder"] == "mini-clip")]
classes = classes.assign(panel=classes["group"] + ", " + classes["condition"])
classes["order"] = classes["group"].map("TIMB".index) + 4 * (classes["condition"].str[1] == "b")
classes = classes.sort_values("order", kind="stable")
settings.save(
    recall_bars(classes, panels="panel", strategies=["text leg", "image leg"], columns=4),
    "a2_legs_by_class",
    alt=f"Dot plot of {measure} with 95 % CIs of mini-clip: text leg and image leg in eight "
    "panels, query classes T, I, M and B across, test conditions (a) new styles and (b) new "
    "concepts down.",
    caption="A2: which leg finds more depends on the class of the query. Relevant are, for T, "
    "texts; for I, images; for M, some of each; for B, text and image only together.",
    data={"recall": classes[["panel", "strategy", "measure", "value"]].round(4)},
)

# %% [markdown]
# The verdict compares the two legs query by query: the difference image leg minus text leg, with a
# 95 % bootstrap CI over queries. If the whole CI lies above 0, A2 holds; if none of it does, A2
# does not hold; else A2 is undecided on this corpus.


# %%
def against(key, baseline, names, by=None):
    chosen = [run for run in runs[key] if run.name in {baseline, *names}]
    qrels = vectors[key].corpus.qrels
    found = difference_table(chosen, qrels, baseline, measure=measure, by=by)
    return found.assign(encoder=key[0], condition=key[1], panel=", ".join(key))


# %%
a2 = []
for key, item in vectors.items():
    query_class = item.corpus.query_frame()["query_class"].astype(pd.CategoricalDtype([*"TIMB"]))
    a2.append(against(key, "text leg", ["image leg"]).assign(query_class="all"))
    a2.append(against(key, "text leg", ["image leg"], by=query_class))
a2 = pd.concat(a2, ignore_index=True)
a2["verdict"] = [verdict(low, high) for low, high in zip(a2["ci_low"], a2["ci_high"], strict=True)]
a2.insert(0, "claim", "A2")

# %% [markdown]
# Difference image leg minus text leg in points of recall@10, and the verdict, for all queries and
# by class.


# %%
a2["difference"] = interval(a2, "{:+.1f}")
wanted = ["all", *"TIMB"]
a2.pivot(index=["encoder", "condition"], columns="query_class", values="difference")[wanted].loc[
    list(vectors)
]

# %%
lines = [
    f"- {name}, {label}: "
    + ", ".join(f"{row.query_class} {row.verdict}" for row in rows.itertuples())
    for (name, label), rows in a2.groupby(["encoder", "condition"], sort=False)
]
Markdown("**Measured: does A2 hold?** For all queries, then class by class:\n\n" + "\n".join(lines))

# %% [markdown]
# ### Rows 1 and 2 of the article's table: one leg, reranked
#
# A reranker reads one query with one document and gives a new score. Rows 1 and 2 give it the first
# 32 documents of *one* leg, and it reads what that leg searched: the text in row 1, the image in
# row 2. *Published (EDIS, jina-clip-v2 and jina-reranker-m0): both rows gain.* Here
# [mini-reranker](../data/models/mini-reranker/README.md) reads the candidates of the first encoder,
# for a part of the queries, since each of them takes 64 calls.
#
# It can reorder these 32 and no more: **a document outside the 32 cannot come back**. The
# *ceiling* is the recall of a perfect order of the 32 candidates.

# %%
reranker, one_leg = mg.load_reranker("mini-reranker"), {}
for condition, label in conditions.items():
    corpus = mg.load_corpus("pictograms", split="test", condition=condition)
    kept = set(corpus.query_ids[::every])
    corpus = corpus.select_queries(lambda query, kept=kept: query.id in kept)
    item = mg.embed(corpus, mg.load_encoder(encoders[0]), progress=False)
    rows = [st.TWO_STAGE[row] for row in (0, 3, 1, 4)]
    one_leg[label] = item, st.run_strategies(item, rows, reranker=reranker)

# %%
rows, after = [], {}
for label, (item, found) in one_leg.items():
    ids, relevant = (item.corpus.query_ids, item.corpus.doc_ids), st.relevance(item)
    for before, reordered in (found[:2], found[2:]):
        first = before.indices[:, :32]  # after these a list holds what ties with the last
        inside = np.take_along_axis(relevant, first, axis=1) & (first >= 0)
        best = Run.from_scores("ceiling", *ids, first, inside.astype(float))
        part = mg.recall_table([before, reordered, best], item.corpus.qrels, measures=[measure])
        gain = difference_table([before, reordered], item.corpus.qrels, before.name)
        part["row"], part["condition"] = reordered.name, label
        part["outside"] = 1 - (inside.sum(axis=1) / relevant.sum(axis=1)).mean()
        part["step"] = ["before", "reranked", "ceiling of the 32"]
        rows.append(part.assign(gain=interval(gain, "{:+.1f}").iloc[0]))
        after[label, reordered.name] = gain.iloc[0]
    after[label, "row 2 above row 1"] = difference_table(
        found[1::2], item.corpus.qrels, found[1].name
    ).iloc[0]
reranked = pd.concat(rows, ignore_index=True)

# %%
assert all(
    part["value"].idxmax() == part.index[2] for _, part in reranked.groupby(["row", "condition"])
)
legs = {st.TWO_STAGE[row].name: st.TWO_STAGE[row - 3].name for row in (3, 4)}
keys, steps = ["row", "condition", "gain"], ["before", "reranked", "ceiling of the 32"]
shown = reranked.assign(cell=interval).pivot(index=keys, columns="step", values="cell")
shown = shown[steps].loc[list(legs)].reset_index("gain")
shown = shown.rename(columns={"gain": "reranked - before"})
shown["published (EDIS)"] = [
    f"{st.PUBLISHED[legs[row]]} -> {st.PUBLISHED[row]}" for row, _ in shown.index
]
shown

# %% [markdown]
# Percent with the 95 % CI over queries; the difference is paired, query by query. The last column
# holds the article's numbers: another corpus, another encoder, another reranker. Compare the
# direction, not the numbers.

# %%
reranked["strategy"] = reranked["row"].str.split(",").str[0] + ", " + reranked["step"]
settings.save(
    recall_bars(reranked, panels="condition", columns=2),
    "rows_1_and_2",
    alt=f"Dot plot of {measure} with 95 % CIs: 32 candidates by text and 32 by image, each "
    "before the reranker, after it, and the ceiling of the candidates; conditions (a) and (b) side "
    "by side.",
    caption=f"{encoders[0]}: what reranking one leg changes, and the recall of a perfect order of "
    "its 32 candidates, which no reranker can pass.",
    data={"recall": reranked[["condition", "strategy", "value"]].round(4)},
)

# %% [markdown]
# The verdicts: that reranking raises recall in row 1, in row 2, and that row 2 is above row 1 after
# it, as in the article.

# %%
rise = {row: st.PUBLISHED[row] - st.PUBLISHED[leg] for row, leg in legs.items()}
rise["row 2 above row 1"] = np.subtract(*[st.PUBLISHED[row] for row in reversed(legs)])
lines = [
    f"- {label}, {row}: **{verdict(gain.ci_low, gain.ci_high)}**, "
    f"{interval(gain.to_frame().T, '{:+.1f}').iloc[0]} points (published {rise[row]:+.2f})"
    for (label, row), gain in after.items()
]
lost = [
    f"{100 * row.outside:.1f} % ({row.row.split(',')[0]}, {row.condition})"
    for row in reranked[reranked["step"] == "reranked"].itertuples()
]
Markdown(
    "**Measured:**\n\n" + "\n".join(lines) + "\n\nOf a query's relevant documents, on average, not "
    f"among the 32 and so out of the reranker's reach: {'; '.join(lost)}."
)

# %% [markdown]
# ### A3 and A4: do simple merges fail?
#
# *Published (EDIS, jina-clip-v2): hits of both legs merged by raw cosine have recall@10 14.55,
# exactly that of the text leg; the image leg alone has 22.38.* A merge searches both legs, so it
# fails if it is no better than the better of the two alone. Which leg that is was chosen on the
# queries it is judged by, which favours it a little.

# %%
merges = []
for key in vectors:
    of_key = (overall["panel"] == ", ".join(key)) & (overall["measure"] == measure)
    recall = overall[of_key].set_index("strategy")["value"]
    better = recall[["text leg", "image leg"]].idxmax()
    merges.append(against(key, better, ["max", "mean", "RRF"]))
merges = pd.concat(merges, ignore_index=True)
merges["claim"] = merges["strategy"].map({"max": "A3", "mean": "A4", "RRF": "(none)"})
merges["verdict"] = [
    verdict(low, high, claimed_above=False)
    for low, high in zip(merges["ci_low"], merges["ci_high"], strict=True)
]

# %%
settings.save(
    difference_dots(merges, panels="panel", columns=2),
    "a3_a4_merges",
    alt=f"Dot plot: difference in {measure} between each merge (max, mean, RRF) and the better "
    "single leg, with 95 % CIs and a line at zero, one panel per encoder and condition.",
    caption="A3 and A4: each merge against the better of the two legs. Left of the line the merge "
    "fails; a hollow dot is undecided.",
    data={"differences": merges[["panel", "strategy", "value"]].round(4)},
)

# %%
merges["difference"] = interval(merges, "{:+.1f}")
merges[["encoder", "condition", "strategy", "against", "difference", "claim", "verdict"]]

# %%
claims = merges[merges["claim"] != "(none)"]
lines = [
    f"- **{claim} {answer}**: " + "; ".join(part["panel"])
    for (claim, answer), part in claims.groupby(["claim", "verdict"])
]
Markdown("**Measured:** the claim that this merge fails\n\n" + "\n".join(lines))

# %% [markdown]
# ### Why the higher score fails
#
# Compare the first ten documents of *max* with those of each leg. The wider the gap, the more of
# them are simply those of the leg whose scores lie higher; the other leg changes nothing. A small
# gain over that leg, such as +0.3 points, is then a gain from the few documents that differ.

# %%
shared = {}
for key, (*legs, max_run, _, _) in runs.items():
    assert max_run.name == "max"
    shared[key] = {
        f"also in the {leg.name}": np.mean(
            [
                np.isin(*both).mean()
                for both in zip(max_run.indices[:, :k], leg.indices[:, :k], strict=True)
            ]
        )
        for leg in legs
    }
(100 * pd.DataFrame(shared).T.rename_axis(["encoder", "condition"])).round(1)

# %% [markdown]
# ### Where a merge gains and where it loses
#
# The same recall by class, for one encoder. A merge that follows the text leg everywhere loses in
# class I; one that uses both legs gains most in class B, where neither leg is enough alone.

# %%
wide("query_class").reindex([*"TIMB"], level="group")

# %% [markdown]
# ### What fills the first ten ranks
#
# Put every text and every image into one index, as two hits each, and search it by raw cosine.
# Half of the index are texts. If scores meant the same in both modalities, about half of the first
# ten hits would be texts, more of them for queries of class T and fewer for class I.

# %%
rows = []
for (name, label), item in vectors.items():
    part = merged_text_fraction(item, k)
    low, high = mg.evaluation.bootstrap_interval(part, rng=settings.rng())
    rows.append((name, label, f"texts among the first {k}", part.mean(), float(low), float(high)))
columns = ["strategy", "condition", "measure", "value", "ci_low", "ci_high"]
text_fraction = pd.DataFrame(rows, columns=columns)

# %%
figure = recall_bars(text_fraction, measure=f"texts among the first {k}", panels="condition")
for axes in figure.axes:
    axes.axvline(50, color=QUIET_COLOUR, linestyle=":", marker="none")
    note = axes.annotate(" half of the index", (50, -0.55), color=QUIET_COLOUR, fontsize=8.5)
    note.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.5})
settings.save(
    figure,
    "text_fraction",
    alt=f"Dot plot: fraction of texts among the first {k} hits of an index that holds texts and "
    "images, by encoder and condition; a dotted line marks the 50 % of texts in the index.",
    caption=f"Merged by raw cosine, {text_fraction['value'].min():.0%} to "
    f"{text_fraction['value'].max():.0%} of the first {k} hits are texts; half of the index is.",
    data={"fraction": text_fraction.drop(columns="measure").round(4)},
)

# %% [markdown]
# ### One query where only one leg finds relevant documents
#
# As in the article's figures 3 and 4. The query is chosen by a rule: the leg that finds it has
# most of the relevant documents among its first three; among these queries, the other leg has its
# first relevant document latest; among these, the shortest query.


# %%
def first_relevant(key, leg):
    run = next(run for run in runs[key] if run.name == leg)
    found = evaluate(run, vectors[key].corpus.qrels, ["recall@3", "mrr"])["expected"]
    return found.assign(length=[len(query.text) for query in vectors[key].corpus.queries])


key = next(iter(vectors))
found = {leg: first_relevant(key, leg) for leg in ("text leg", "image leg")}
by_leg = dict(zip(found, runs[key], strict=False))
assert [run.name for run in by_leg.values()] == list(by_leg)

# %%
chosen = {}
for leg, other in (("text leg", "image leg"), ("image leg", "text leg")):
    both = found[leg].assign(late=found[other]["mrr"])
    order = both.sort_values(["recall@3", "late", "length"], ascending=[False, True, True])
    chosen[leg] = order.index[0]
    assert order["recall@3"].iloc[0] > 0
    assert order["late"].iloc[0] < 1 / 3
    print(f"only the {leg}: {chosen[leg]}; first relevant document of the {other}: ", end="")
    print(f"rank {1 / order['late'].iloc[0]:.0f}" if order["late"].iloc[0] else "not in 100")

# %%
corpus = vectors[key].corpus
words = {name: corpus.queries[corpus.query_ids.index(at)].text for name, at in chosen.items()}
settings.save(
    gallery(corpus, chosen["text leg"], by_leg),
    "only_text_finds",
    alt=f"First three hits of the query '{words['text leg']}' by the text leg and by the image "
    "leg, each with its drawing and text; relevant ones have a green frame: only the text leg has "
    "any.",
    caption=f"{', '.join(key)}: only the text leg finds what '{words['text leg']}' asks for.",
    data={"hits": [*by_leg["text leg"].top(chosen["text leg"], 3)]},
)

# %%
settings.save(
    gallery(corpus, chosen["image leg"], by_leg),
    "only_image_finds",
    alt=f"First three hits of the query '{words['image leg']}' by the text leg and by the image "
    "leg, each with its drawing and text; relevant ones have a green frame: only the image leg has "
    "any.",
    caption=f"{', '.join(key)}: only the image leg finds what '{words['image leg']}' asks for.",
    data={"hits": [*by_leg["image leg"].top(chosen["image leg"], 3)]},
)

# %% [markdown]
# ### A glance at other languages
#
# The same names in other languages, from Unicode's CLDR. The sentence tower of all three encoders,
# all-MiniLM-L6-v2, was trained on English: in other languages it recognises words that look alike,
# and in scripts that it cannot read its recall is at chance. This is a limit of the bundled
# encoders, not of the method.

# %%
pools = {
    language: mg.load_corpus("pictograms", split="test", condition="style", language=language)
    for language in languages
}
same = {query.metadata["same_as"] for query in pools[languages[0]].queries}
pools = {"en": corpus.select_queries(lambda query: query.id in same), **pools}
assert len({len(pool.queries) for pool in pools.values()}) == 1

# %%
spoken = {"en": "English", "de": "German", "es": "Spanish", "fr": "French", "pl": "Polish"}
spoken |= {"ru": "Russian", "hi": "Hindi", "ja": "Japanese", "zh": "Chinese"}
encoder = mg.load_encoder("mini-clip")
rows = []
for language, pool in pools.items():
    legs = mg.run_strategies(mg.embed(pool, encoder, progress=False), TRIVIAL[:2])
    rows.append(mg.recall_table(legs, pool.qrels, measures=[measure]))
    rows[-1] = rows[-1].rename(columns={"strategy": "leg"}).assign(strategy=spoken[language])
by_language = pd.concat(rows, ignore_index=True)

# %%
settings.save(
    recall_bars(by_language, panels="leg", columns=2),
    "languages",
    alt=f"Dot plot of {measure} with 95 % CIs of mini-clip: one row per language of the "
    f"queries, {', '.join(spoken[language] for language in pools)}; text leg and image leg side by "
    "side.",
    caption="The same names in other languages: the encoder's sentence tower is an English model.",
    data={"recall": by_language[["leg", "strategy", "value"]].round(4)},
)

# %% [markdown]
# ## What could fool us
#
# ### Equal texts
#
# Several drawings of a thing often share one text, so the text leg gives them one score: whether
# the relevant one of them is among the first ten depends on the sort order. The value in the tables
# is the expectation over all orders; here are the worst and the best one. Where the image leg lies
# between them, another sort order would reverse A2.

# %%
ends = overall[(overall["measure"] == measure) & overall["strategy"].isin(found)]
ends = ends.set_index(["encoder", "condition", "strategy"])
ends = 100 * ends[["pessimistic", "value", "optimistic", "tied"]]
assert (ends["pessimistic"] <= ends["value"] + 1e-9).all()
assert (ends["value"] <= ends["optimistic"] + 1e-9).all()
ends.rename(columns={"value": "expected", "tied": "queries with a tie at 10"}).round(1)

# %% [markdown]
# ### Offset and spread
#
# A merge in these tables gives each candidate *both* of its scores. Then an offset between the
# modalities cannot hurt the mean: if all image scores were higher by one constant, every mean
# would be higher by half of it, and the order would stay. It does change the maximum. Here the
# image scores are raised by the whole offset between the two modalities.

# %%
first = vectors[key]
candidates = Pool(first).candidates
offset = first.scores("text").mean() - first.scores("image").mean()
both_scores = candidates.scores["text"], candidates.scores["image"]
raised = both_scores[0], both_scores[1] + offset


# %%
def as_run(name, scores):
    ids = first.corpus.query_ids, first.corpus.doc_ids
    return Run.from_scores(name, *ids, candidates.documents, scores)


merged = [
    as_run(f"{how} of {what} scores", COMBINERS[how](*scores))
    for how in ("max", "mean")
    for what, scores in (("raw", both_scores), ("raised", raised))
]
shifted = mg.recall_table(merged, first.corpus.qrels, measures=[measure])
value = shifted.set_index("strategy")["value"]
assert np.isclose(value["mean of raw scores"], value["mean of raised scores"], atol=2e-3)
format_table(shifted)

# %% [markdown]
# What can hurt the mean is unequal spread: the leg whose scores differ more from document to
# document has more influence. So it is in the article's example: the two text scores are further
# apart than the two image scores, so the mean ranks as the text leg does.

# %%
article_a, article_b = np.array([0.72, 0.31]), np.array([0.23, 0.54])  # text, image (published)
difference = article_a - article_b
print(f"text {difference[0]:+.2f}, image {difference[1]:+.2f}, mean {difference.mean():+.2f}")
assert np.sign(difference.mean()) == np.sign(difference[0])

# %%
spread = {
    key: {leg: item.scores(leg).std(axis=1).mean() for leg in item.legs}
    for key, item in vectors.items()
}
spread = pd.DataFrame(spread).T.rename_axis(["encoder", "condition"])
spread.assign(ratio=spread["text"] / spread["image"]).round(3)

# %% [markdown]
# The numbers are standard deviations of a query's cosines over all documents. Where the ratio is
# near 1, both legs have the same influence on the mean. There is a second reason why it may do well
# here and not on EDIS: text and drawing of these documents are about the same thing, so that two
# weak signals agree; a headline and a news photograph do so less often.
#
# ### One score or two
#
# Many search engines merge in another way: each leg returns its own list, and a document that is in
# one list only has one score. Its mean is that one raw score, so the offset matters again. With
# lists of 16, as in the article's pipeline:

# %%
candidates = Pool(first, depth=16).candidates
one_list = [candidates.own(leg) for leg in candidates.scores]
lists_only = as_run("mean, lists of 16 only", COMBINERS["mean"](*one_list))
compared = [*runs[key][:2], next(run for run in runs[key] if run.name == "mean"), lists_only]
format_table(mg.recall_table(compared, first.corpus.qrels, measures=[measure]))

# %%
baseline = merges.loc[merges["panel"] == ", ".join(key), "against"].iloc[0]
row = difference_table(compared, first.corpus.qrels, baseline).set_index("strategy")
row = row.loc["mean, lists of 16 only"]
answer = verdict(row["ci_low"], row["ci_high"], claimed_above=False)
Markdown(
    f"**A4 with lists of 16, {', '.join(key)}: {answer}** (measured). The mean of what each list "
    f"returned differs from the {baseline} by {interval(row.to_frame().T, '{:+.1f}').iloc[0]} "
    "points."
)

# %% [markdown]
# ### The mixture of classes
#
# "Recall is higher by image" is a statement about a corpus as much as about an encoder. This
# corpus fixed the fractions of its classes; with another mixture another leg may find more overall.
# The fraction of class I at which both legs find equally much, in a corpus of T and I alone:

# %%
for key, rows in a2.groupby(["encoder", "condition"], sort=False):
    by_class = rows.set_index("query_class")["value"]
    level = by_class["T"] / (by_class["T"] - by_class["I"])
    print(f"{', '.join(key):32}", end=" ")
    print(f"{level:.0%} of class I" if 0 < level < 1 else "one leg wins both classes")

# %% [markdown]
# ### What was not judged
#
# Relevance follows from how the corpus was made: a drawing of the thing asked for is relevant. A
# drawing that shows it without being labelled so counts as non-relevant, which costs the image leg
# more than the text leg.
#
# Each CI here is for one comparison by itself; among many, one in twenty would miss by chance.

# %% [markdown]
# ## Summary
#
# - Look at recall by leg and by class of query before choosing a merge: one number over all
#   queries is a statement about the mixture.
# - Compare a merge with the better leg, query by query, with a 95 % CI.
# - The maximum of raw scores follows the leg whose scores lie higher. An offset does not change the
#   ranking by the mean of both scores, unequal spread does; both change the mean of what two lists
#   returned.
# - Reranking the candidates of one leg can at best put them in perfect order. Look at that ceiling
#   first: a document that the leg did not list stays lost.
# - State what ties could change.

# %%
claims = pd.concat([a2[a2["query_class"] == "all"], claims])
published = {
    "A2": "published: 22.38 by image, 14.55 by text",
    "A3": "published: 14.55 merged by raw cosine, 22.38 by image",
    "A4": "published: fails, no number",
}
cells = claims.assign(
    cell=claims["verdict"] + ", " + claims["difference"],
    claim=claims["claim"] + " (" + claims["claim"].map(published) + ")",
)
cells.pivot(index=["encoder", "condition"], columns="claim", values="cell").loc[list(vectors)]

# %% [markdown]
# Cells: measured verdict, and the difference in points of recall@10 with its 95 % CI: image leg
# minus text leg (A2), merge minus the better leg (A3, A4). Published numbers: EDIS, jina-clip-v2.
# The same differences are kept as a file.

# %%
if not settings.fast:
    results_dir().mkdir(parents=True, exist_ok=True)
    kept = pd.concat([a2, merges]).drop(columns=["panel", "difference"])
    kept.to_csv(results_dir() / "recall_differences.csv", index=False, float_format="%.6g")

# %% [markdown]
# **References.** Jina AI: Fair scoring for multimodal documents, 25 May 2025 (EDIS, jina-clip-v2;
# all numbers marked published). S. Liu, W. Feng, T. Fu, W. Chen, W. Y. Wang: EDIS: Entity-Driven
# Image Search over Multimodal Web Content. EMNLP 2023. G. V. Cormack, C. L. A. Clarke, S.
# Büttcher: Reciprocal Rank Fusion Outperforms Condorcet and Individual Rank Learning Methods.
# SIGIR 2009.

# %%
provenance(seed=settings.seed)
