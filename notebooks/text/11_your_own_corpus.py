# %% [markdown]
# # Your own corpus
#
# **In one sentence:** point this notebook at a folder of yours, and it says what was read and what
# was left out, where the two kinds of scores lie, what the gap does to search, which merge to use,
# and how far that can be trusted.
#
# Kind: how-to, a template. Change the cell *Parameters* and run all of it.
#
# ## Question and answer
#
# *I have documents with texts and images. Is there a gap in them that hurts, and how should I merge
# the two lists of hits?*
#
# With judged queries you get the answer as a difference in recall with an interval; the figure
# `recall` and the last cell of *Result* hold it. Without judgments the notebook still says where
# the scores lie, which modality fills the first places, and whether a few documents turn up
# everywhere; it cannot say which merge is better, and says so. Both ways run here, on a small
# folder that the notebook writes itself.

# %% [markdown]
# ## What you need
#
# *Before:* [05_trivial_merges_fail](05_trivial_merges_fail.ipynb) and
# [06_normalise_and_calibrate](06_normalise_and_calibrate.ipynb) explain what is counted here.
# *Time:* about a minute for the small folder, less in fast mode; for yours, mostly the time to
# embed it once, vectors are cached. *Data:* a folder in one of two forms.
#
# 1. **Tables and images.** `documents` with the fields `id`, `text`, `image` (a path relative to
#    the folder; text or image may be missing), `queries` with `id`, `text`, and `qrels` with query
#    id, document id and grade. Each may be `.jsonl`, `.csv` or `.parquet`; judgments also `.tsv`
#    as trec_eval reads them. A field `query_class` of the queries splits the tables.
# 2. **A plain folder of images**, `cat.png` with its text in `cat.txt`. There are no judgments.
#    Each text then asks for its own image, which is the best stand-in that such a folder offers.
#
# The small folder is written from the bundled corpus
# [pictograms](../data/pictograms/README.md), drawings with texts about the thing shown.

# %% [markdown]
# ## Setup

# %%
import json
import shutil
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import Markdown

import mmgap as mg
from mmgap.corpus.schema import LEGS
from mmgap.errors import SkippedItemsWarning
from mmgap.evaluation import bootstrap_interval, evaluate, format_table, verdict
from mmgap.gap import k_occurrence
from mmgap.notebook import notebook
from mmgap.plots import gallery, recall_bars, score_histograms
from mmgap.provenance import provenance

# %%
from mmgap.strategies import (
    METHODS,
    Pool,
    merged_text_fraction,
    split_queries,
    threshold_table,
)
from mmgap.strategies import (
    leaderboard as judge_methods,
)

warnings.simplefilter("ignore", SkippedItemsWarning)  # what was left out is listed below
settings = notebook("11_your_own_corpus", seed=0)

# %% [markdown]
# ## Parameters
#
# `folder` is the one thing to change: the path of your folder. `None` writes the small one. Any
# encoder of `mmgap models` will do for `name`; one that was trained on photographs, if yours are.

# %% tags=["parameters"]
folder = None  # "my_pictures"
name = "mini-clip"
on_error = "skip"  # leave out what cannot be used, and list it; "raise" stops at the first
k = 10  # places that your users look at
precision = 0.5  # asked of a threshold: half of what is shown is relevant
candidates = (  # merges to choose from, of `mmgap.strategies.METHODS`
    *("raw, max", "raw, mean", "z, mean", "reference z, mean", "rank, mean"),
    *("RRF, k = 60", "platt, log-odds", "convex, reference z"),
)
n_query = settings.size(full=300, fast=80)  # of the small folder

# %% [markdown]
# ## By hand
#
# Three numbers of the report on five vectors: two texts, three images, two queries, in two
# dimensions. Each query takes the two best of all five.

# %%
texts = np.array([[1.0, 0.0], [0.8, 0.6]])
images = np.array([[0.6, 0.8], [0.0, 1.0], [-0.6, 0.8]])
queries = np.array([[1.0, 0.0], [0.6, 0.8]])
cosines = queries @ np.concatenate([texts, images]).T
first_two = np.argsort(-cosines, axis=1)[:, :2]
print(cosines.round(2))
print("best two of each query:", first_two.tolist())

# %% [markdown]
# **Text share**: of the first two hits of query 1 both are texts (0, 1), of query 2 one (1; 2 is an
# image). Texts are two of five, so a merge without preference would show 40 %.
#
# **Hubness**: in how many lists of two a document appears. Text 1 is in both lists, two others in
# one, the other two in none.

# %%
share_by_hand = (first_two < len(texts)).mean(axis=1)
lists_by_hand = np.bincount(first_two.ravel(), minlength=5)
print("text share", share_by_hand.tolist(), " in how many lists", lists_by_hand.tolist())
assert share_by_hand.tolist() == [1.0, 0.5]
assert lists_by_hand.tolist() == [1, 2, 1, 0, 0]

# %% [markdown]
# ## With mmgap

# %%
kind = np.where(first_two < len(texts), "text", "image")
assert mg.scores.modality_fraction(kind, "text", 2).tolist() == share_by_hand.tolist()
both = np.concatenate([texts, images])
assert k_occurrence(queries, both, k=2).tolist() == lists_by_hand.tolist()

# %% [markdown]
# ### The small folder
#
# Written only if `folder` is `None`: images as files, documents as JSON lines, queries as CSV, and
# judgments as trec_eval reads them. It has three faults, as real folders do: a document without
# content, one whose image is missing, and one whose image is cut short.

# %%
is_example = folder is None
if is_example:
    folder = Path(tempfile.mkdtemp()) / "small_folder"
    (folder / "images").mkdir(parents=True)
    source = mg.load_corpus("pictograms", split="test", condition="style").sample(n_query)
    records = []
    for document in source.documents:
        file = f"images/{document.id}{Path(document.image.name).suffix}"
        (folder / file).write_bytes(document.image.read_bytes())
        records.append({"id": document.id, "text": document.text, "image": file})
    cut = source.documents[0].image.read_bytes()
    (folder / "images" / "cut.webp").write_bytes(cut[: len(cut) // 2])

# %%
if is_example:
    records += [
        {"id": "empty", "text": " "},
        {"id": "lost", "text": "a drawing", "image": "images/lost.png"},
        {"id": "cut", "text": "a drawing that is cut short", "image": "images/cut.webp"},
    ]
    lines = "\n".join(json.dumps(record) for record in records)
    (folder / "documents.jsonl").write_text(lines, encoding="utf-8")
    asked = source.query_frame()[["text", "query_class"]].rename_axis("id")
    asked.to_csv(folder / "queries.csv")
    judged = [(q, d, g) for q in source.query_ids for d, g in source.qrels[q].items()]
    qrels = "\n".join(f"{query} 0 {document} {grade}" for query, document, grade in judged)
    (folder / "qrels.tsv").write_text(qrels, encoding="utf-8")

# %% [markdown]
# ## Result
#
# ### What was read, and what was left out
#
# Loading reads the tables, embedding opens the images; either may leave something out.

# %%
corpus = mg.load_corpus(folder, on_error=on_error)
encoder = mg.load_encoder(name)
vectors = mg.embed(corpus, encoder, on_error=on_error, progress=False)
corpus = vectors.corpus
has_judgments = not corpus.left_out  # a plain folder leaves out that a text meets itself
counts = {leg: len(vectors.legs[leg].positions) for leg in LEGS}
paired = len(np.intersect1d(*(vectors.legs[leg].positions for leg in LEGS)))

# %%
n_judged = sum(len(corpus.qrels[query_id]) for query_id in corpus.query_ids)
sharing = sum(len(ids) for ids in corpus.equal_texts.values())
pd.Series(
    {
        "documents": len(corpus.documents),
        "with a text": counts["text"],
        "with an image": counts["image"],
        "with both": paired,
        "that share their text with another": sharing,
        "queries": len(corpus.queries),
        "judgments": n_judged if has_judgments else "none; texts ask for their images",
        "left out": len(corpus.skipped),
    },
    name=corpus.name,
).to_frame()

# %%
left_out = pd.Series({str(item): str(why) for item, why in corpus.skipped.items()}, dtype=object)
if is_example:
    assert len(left_out) == 3
    assert counts["image"] == counts["text"] - 1 == len(source.documents)
for item, why in left_out.items():
    print(f"{item}: {why.replace(str(Path(folder).resolve()), corpus.name)}")

# %% [markdown]
# Documents that share their text are exactly tied on the text leg: no encoder can order them. Where
# that number is large, look at the bounds over ties in the tables below.
#
# ### Where the scores lie
#
# Filled: all pairs of query and document. Outlined: relevant pairs, where judgments tell them.

# %%
distributions = mg.score_distributions(vectors)
middle = {leg: distributions.samples[leg].quantiles[3] for leg in LEGS}
settings.save(
    score_histograms({f"{name}, {corpus.name}": distributions}, height=2.6),
    "histograms",
    alt=f"Histograms of {name}'s cosines with texts and with images of the folder on one axis. "
    f"Medians: text {middle['text']:.2f}, image {middle['image']:.2f}.",
    caption=f"A random text scores higher than a random image in {distributions.dominance:.0%} of "
    "cases; one half would be no preference.",
    data={leg: sample.counts for leg, sample in distributions.samples.items()},
)

# %% [markdown]
# ### The gap, and what it does
#
# The head of the gap report: its most used measures of geometry, and its consequences for search.
# `gap` itself shows all of it, each number with a sentence that says what it means.

# %%
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # too few pairs for a measure: the notes below say so
    gap = mg.gap_report(vectors, k=k, n_resamples=settings.size(full=2000, fast=200))
shown = gap.to_frame()
head = ["l2m", "rmg", "linear_separability", "knn_fraction", "dominance_by_query", "text_fraction"]
shown = shown[shown["measure"].isin([*head, "wrong_modality", "merge_loss"])]
columns = ["symbol", "side", "value", "ci_low", "ci_high", "null", "meaning"]
pd.set_option("display.max_colwidth", None)
shown[columns].round(3).set_index("symbol")

# %%
for note in gap.notes:
    print("-", note)

# %% [markdown]
# ### Without a single judgment: who fills the first places
#
# If texts and images stood in one list, sorted by raw score, what share of the first places would
# be texts? And which documents turn up in many lists? These need queries, but no judgments.

# %%
share = merged_text_fraction(vectors, k)
low, high = bootstrap_interval(share[:, None], rng=settings.rng())
in_index = counts["text"] / sum(counts.values())
share_words = verdict(low.item(), high.item(), in_index)
Markdown(
    f"Texts are {in_index:.0%} of the index and **{share.mean():.0%}** "
    f"[{low.item():.0%}, {high.item():.0%}] of the first {k} places. "
    f"*Texts take more than their share*: {share_words}."
)

# %%
rows = {}
for leg in LEGS:
    lists = k_occurrence(vectors.queries, vectors.legs[leg].embeddings, k=min(k, counts[leg]))
    top = lists.argmax()
    rows[leg] = {
        "lists that a document is in, mean": lists.mean(),
        "most lists that one document is in": lists.max(),
        "these lists, share of all": lists.max() / len(vectors.queries),
        "documents in no list, share": (lists == 0).mean(),
        "that document": corpus.documents[vectors.legs[leg].positions[top]].id,
    }
    assert lists.sum() == min(k, counts[leg]) * len(vectors.queries)
hubs = pd.DataFrame(rows)
hubs.map(lambda cell: cell if isinstance(cell, str) else f"{cell:.3g}")

# %% [markdown]
# A document in a large share of all lists is a **hub**: look at it. Often it is an empty page, a
# logo, or a text that says next to nothing.
#
# ### Look at hits
#
# One query, chosen by a rule that needs no judgments: the one whose merged list is
# nearest to half texts and half images, so that both legs can be seen; of several the first. Ticks
# mark relevant documents where they are known.

# %%
runs = {run.name: run for run in mg.run_strategies(vectors)}
chosen = corpus.query_ids[int(np.abs(share - 0.5).argmin())]
searches = {"by text": "text leg", "by image": "image leg", "merged by raw score": "max"}
searches = {label: run for label, run in searches.items() if run in runs}
settings.save(
    gallery(corpus, chosen, {label: runs[run] for label, run in searches.items()}, k=3),
    "hits",
    alt="The first three hits of one query in three columns: by text, by image, and merged by raw "
    "score, each with picture, text and score.",
    caption="What each leg finds for one query, and what the merge by raw score shows of it. "
    "Compare the scores of the first two columns.",
    data={"query": [chosen]},
)

# %% [markdown]
# ### Recall
#
# A plain folder asks with its own texts. A text must not meet itself, and the missing score would
# give the relevant document away to every merge; so mmgap ranks its image leg and nothing else.

# %%
measures = [f"recall@{k}", f"hit@{k}"]
recall = mg.recall_table(runs.values(), corpus.qrels, k=k, measures=measures)
format_table(recall)

# %%
best = recall[recall["measure"] == f"recall@{k}"].set_index("strategy")["value"]
settings.save(
    recall_bars(recall, measure=f"recall@{k}"),
    "recall",
    alt=f"Recall at {k} of each strategy as a dot with its 95 % interval. Highest: "
    f"{best.idxmax()}, {best.max():.2f}; lowest: {best.idxmin()}, {best.min():.2f}.",
    caption=f"What each leg and each simple merge finds. Best on these queries: {best.idxmax()}.",
    data={"recall": best.round(6)},
)

# %% [markdown]
# ### Below which score should a hit be rejected?
#
# The queries are split in two by lot. A threshold is found on the first half, and tried on the
# second: *reached* says whether the target was reached there. `reason` says why there is none.

# %%
if has_judgments:
    calibration, test = split_queries(vectors, seed=settings.seed)
    thresholds = threshold_table(calibration, test, precision=precision, rng=settings.rng(1))
    columns = ["leg", "threshold", "threshold_low", "threshold_high", "observed", "ci_low"]
    answer = thresholds[[*columns, "ci_high", "reached", "reason"]].set_index("leg").round(3)
    answer = answer.fillna("")
else:
    answer = Markdown("No judgments, no threshold: what is relevant must be known for some pairs.")
answer

# %% [markdown]
# ### Which merge
#
# The same halves. Each candidate is fitted on the first half. To choose one, they are compared on
# the first half too (each fitted on the second); the number that counts is the chosen one's on the
# second half, which had no say in the choice.


# %%
def board(fitted_on, judged_on):
    methods = [METHODS[name] for name in ("text leg", "image leg", *candidates)]
    pools = Pool(fitted_on), Pool(judged_on)
    found = judge_methods(*pools, methods, measures=[f"recall@{k}"], rng=settings.rng(2))
    return found[(found["measure"] == f"recall@{k}")].drop(columns=["corpus", "encoder"])


if has_judgments:
    first_half, second_half = board(test, calibration), board(calibration, test)
    overall = first_half[(first_half["query_class"] == "all")].set_index("method")["value"]
    merge = overall[list(candidates)].idxmax()

# %%
advice = Markdown("**No advice on a merge:** without judged queries no merge can be called better.")
if has_judgments:
    row = second_half[second_half["query_class"] == "all"].set_index("method").loc[merge]
    answer = verdict(row["difference_low"], row["difference_high"])
    said = {
        "holds here": f"Use **{merge}**.",
        "does not hold here": f"Do not merge: **{row['against']}** alone finds more.",
        "undecided here": f"**{row['against']}** alone does as well as far as these queries tell; "
        "bring more judged queries before you add a merge.",
    }[answer]
    gain = f"{100 * row['difference']:+.1f} points [{100 * row['difference_low']:+.1f}, "
    gain += f"{100 * row['difference_high']:+.1f}]"
    advice = Markdown(
        f"{said} Recall@{k} of {merge} less that of the better leg ({row['against']}): {gain}, "
        f"over {int(row['n'])} queries that had no part in the choice."
    )
advice

# %%
table = Markdown("No judgments, no table.")
if has_judgments:
    table = 100 * second_half.pivot(index="method", columns="query_class", values="value")
    table = table.sort_values("all", ascending=False).round(1)
table

# %% [markdown]
# Read the columns, not just the first one: classes T (the text answers) and I (the image answers)
# pull in opposite directions, and a merge that is best on all queries may be bought by one of them.
# If your queries have no `query_class`, nobody has looked whether that is so.
#
# ## What could fool us
#
# ### Pairs are no judgments
#
# The same documents as a plain folder: images with their texts beside them. Now each text asks for
# its own image, and nothing is judged by people.

# %%
plain = Path(tempfile.mkdtemp()) / "plain_folder"
plain.mkdir()
complete = [vectors.corpus.documents[row] for row in vectors.image.positions[: 2 * n_query]]
for number, document in enumerate(each for each in complete if each.text):
    stem = plain / f"{number:05d}"
    picture = document.image.read_bytes()
    stem.with_suffix(Path(document.image.name).suffix).write_bytes(picture)
    stem.with_suffix(".txt").write_text(document.text, encoding="utf-8")
pairs = mg.embed(mg.load_corpus(plain, on_error=on_error), encoder, progress=False)
assert pairs.corpus.left_out  # a text does not meet itself

# %%
plain_runs = {run.name: run for run in mg.run_strategies(pairs)}
compared = {}
asked = "judged queries" if has_judgments else "your folder"
for where, found, corpus_of in ((asked, runs, corpus), ("pairs", plain_runs, pairs.corpus)):
    for leg in [leg for leg in LEGS if f"{leg} leg" in found]:
        values = evaluate(found[f"{leg} leg"], corpus_of.qrels, [f"recall@{k}"])["expected"]
        compared.setdefault(f"{leg} leg", {})[where] = 100 * values[f"recall@{k}"].mean()
compared = pd.DataFrame(compared).T.round(1)
assert list(plain_runs) == ["image leg"]
compared.astype(object).fillna("not ranked")

# %% [markdown]
# In the column *pairs* the text leg is not ranked: the one text that would answer is the query
# itself, and only the relevant document would lack its text score, which some merges reward even in
# pure noise. The image leg's number is about captions, not about what your users ask. So the
# template uses pairs for distributions, for the gap and for the image leg, and for no choice.
#
# ### Few queries
#
# How wide would the interval be with fewer queries? It shrinks with the square root of their
# number, which tells how many you need.

# %%
if has_judgments:
    values = evaluate(runs["mean"], corpus.qrels, [f"recall@{k}"])["expected"][f"recall@{k}"]
    spread = values.std(ddof=1)
    for n in (25, 100, 400, 1600):
        print(f"{n:5d} judged queries: recall@{k} is known to ± {196 * spread / n**0.5:.1f} points")
    wide = bootstrap_interval(values.to_numpy()[:, None], rng=settings.rng(3))
    by_formula = 2 * 1.96 * spread / len(values) ** 0.5
    assert abs((wide[1] - wide[0]).item() / by_formula - 1) < 0.25

# %% [markdown]
# A merge that gains two points cannot be told from chance with a hundred queries, though paired
# differences, as in *Which merge*, need fewer than these single numbers.
#
# ### What the small folder cannot tell
#
# It is drawings by a small encoder, and its pool holds only documents that some query was judged
# with, which makes search easier than in the whole corpus. No number above is a result of mmgap;
# those are in notebooks 04 to 08.

# %% tags=["cleanup"]
shutil.rmtree(plain.parent)
if is_example:
    shutil.rmtree(folder.parent)

# %% [markdown]
# ## Summary
#
# - Look first at what was left out and at how many documents share a text.
# - Without judgments: where scores lie, who fills the first places, which documents are hubs. That
#   finds defects, and no merge.
# - With judgments: choose on one half of the queries, report the other, and read each class.
# - A threshold needs judgments of its own kind of data, and may still fail on new queries.
# - The same on the command line: `mmgap report --corpus FOLDER`, `mmgap gap --corpus FOLDER`.
#
# **References.** Jina AI: Fair scoring for multimodal documents, 25 May 2025. M. Radovanovic, A.
# Nanopoulos, M. Ivanovic: Hubs in Space. JMLR 2010 (hubness). W. Liang, Y. Zhang, Y. Kwon, S.
# Yeung, J. Zou: Mind the Gap. NeurIPS 2022.

# %%
provenance(seed=settings.seed)
