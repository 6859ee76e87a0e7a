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
# With judged queries you get the answer as a difference in recall, tested, with its 95 % CI; the
# figure `recall` and the section *Which merge* hold it. Without judgments the notebook still says
# where the scores lie, which modality fills the first ranks, and whether a few documents turn up
# everywhere; it cannot say which merge is better, and says so. Both ways run here, on a small
# folder that the notebook writes itself.
#
# On that folder the mean of the two raw scores finds more than either leg; on yours another answer
# may hold. A **leg** is one modality's path from the query to a ranked list: the query's vector is
# compared with the vectors of all texts, or of all images.

# %% [markdown]
# ## What you need
#
# *Before:* [05_trivial_merges_fail](05_trivial_merges_fail.ipynb) and
# [06_normalise_and_calibrate](06_normalise_and_calibrate.ipynb) explain what is counted here.
# *Time:* about half a minute for the small folder, less in fast mode; for yours, mostly the time to
# embed it once, vectors are cached. *Data:* a folder in one of two forms.
#
# 1. **Tables and images.** `documents` with the fields `id`, `text`, `image` (a path relative to
#    the folder; text or image may be missing), `queries` with `id`, `text`, and `qrels` with query
#    id, document id and grade. Each may be `.jsonl`, `.csv` or `.parquet`; judgments also `.tsv`
#    as trec_eval reads them. A field `query_class` of the queries splits the tables.
# 2. **A plain folder of images**, `cat.png` with its text in `cat.txt`. There are no judgments.
#    Each text then asks for its own image, which is the best stand-in that such a folder offers.
#
# Queries must be there. Judgments may be missing, and so may all texts or all images: what cannot
# be measured then is left out, with the reason in its place.
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
from mmgap.errors import MissingLegWarning, SkippedItemsWarning
from mmgap.evaluation import bootstrap_interval, evaluate, format_table, verdict
from mmgap.gap import k_occurrence
from mmgap.notebook import notebook
from mmgap.plots import gallery, recall_bars, score_histograms
from mmgap.provenance import provenance

# %%
from mmgap.strategies import (
    METHODS,
    advise,
    format_advice,
    merged_text_fraction,
    split_queries,
    threshold_table,
)

warnings.simplefilter("ignore", MissingLegWarning)  # what was not ranked is said below
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
k = 10  # hits that your users look at
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
# **Fraction of texts**: of the first two hits of query 1 both are texts (0, 1), of query 2 one
# (1; 2 is an image). Texts are two of five, so a merge without preference would show 40 %.
#
# **Hubness**: in how many lists of two a document appears. Text 1 is in both lists, two others in
# one, the other two in none.

# %%
texts_by_hand = (first_two < len(texts)).mean(axis=1)
lists_by_hand = np.bincount(first_two.ravel(), minlength=5)
print("text fraction", texts_by_hand.tolist(), " in how many lists", lists_by_hand.tolist())
assert texts_by_hand.tolist() == [1.0, 0.5]
assert lists_by_hand.tolist() == [1, 2, 1, 0, 0]

# %% [markdown]
# ## With mmgap

# %%
kind = np.where(first_two < len(texts), "text", "image")
assert mg.scores.modality_fraction(kind, "text", 2).tolist() == texts_by_hand.tolist()
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
is_judged = corpus.judged and not corpus.left_out  # a plain folder hides a text from itself
rows = {leg: vectors.legs[leg].positions if leg in vectors.legs else [] for leg in LEGS}
counts = {leg: len(rows[leg]) for leg in LEGS}
complete = [corpus.documents[row] for row in np.intersect1d(*rows.values()).astype(int)]
has_both = min(counts.values()) > 0
one_leg = Markdown(f"Not measured: it takes texts and images, and there are {counts}.")

# %%
n_judged = sum(len(corpus.qrels[query_id]) for query_id in corpus.qrels)
sharing = sum(len(ids) for ids in corpus.equal_texts.values())
pd.Series(
    {
        "documents": len(corpus.documents),
        "with a text": counts["text"],
        "with an image": counts["image"],
        "with both": len(complete),
        "that share their text with another": sharing,
        "queries": len(corpus.queries),
        "judgments": n_judged if is_judged else "none by people",
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
histograms = one_leg
if has_both:
    distributions = mg.score_distributions(vectors)
    middle = {leg: distributions.samples[leg].quantiles[3] for leg in LEGS}
    histograms = settings.save(
        score_histograms({f"{name}, {corpus.name}": distributions}, height=2.6),
        "histograms",
        alt=f"Histograms of {name}'s cosines with texts and with images of the folder on one axis. "
        f"Medians: text {middle['text']:.2f}, image {middle['image']:.2f}.",
        caption=f"A random text scores higher than a random image in {distributions.dominance:.0%} "
        "of cases; one half would be no preference.",
        data={leg: sample.counts for leg, sample in distributions.samples.items()},
    )
histograms

# %% [markdown]
# ### The gap, and what it does
#
# The head of the gap report: its most used measures of geometry, and its consequences for search.
# `gap` itself shows all of it, each number with a sentence that says what it means.

# %%
pd.set_option("display.max_colwidth", None)
head = ["l2m", "rmg", "linear_separability", "knn_fraction", "dominance_by_query", "text_fraction"]
columns = ["symbol", "side", "value", "ci_low", "ci_high", "null", "meaning"]
report, notes = one_leg, ()
if has_both:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # too few pairs for a measure: the notes below say so
        gap = mg.gap_report(vectors, k=k, n_resamples=settings.size(full=2000, fast=200))
    shown, notes = gap.to_frame(), gap.notes
    shown = shown[shown["measure"].isin([*head, "wrong_modality", "merge_loss"])]
    report = shown[columns].round(3).set_index("symbol")
report

# %%
for note in notes:
    print("-", note)

# %% [markdown]
# ### Without a single judgment: who fills the first ranks
#
# If texts and images stood in one list, sorted by raw score, what fraction of the first ranks would
# be texts? And which documents turn up in many lists? These need queries, but no judgments.

# %%
text_fraction = merged_text_fraction(vectors, k) if has_both else np.full(len(corpus.queries), 0.5)
low, high = bootstrap_interval(text_fraction[:, None], rng=settings.rng())
in_index = counts["text"] / sum(counts.values())
preferred = verdict(low.item(), high.item(), in_index)
who_is_first = one_leg
if has_both:
    who_is_first = Markdown(
        f"Texts are {in_index:.0%} of the index and **{text_fraction.mean():.0%}** "
        f"[{low.item():.0%}, {high.item():.0%}] of the first {k} ranks. "
        f"*Texts take more ranks than their fraction of the index*: {preferred}."
    )
who_is_first

# %%
rows = {}
for leg in vectors.filled_legs:
    n_hit = min(k, counts[leg])
    lists = k_occurrence(vectors.queries, vectors.legs[leg].embeddings, k=n_hit)
    top = vectors.legs[leg].positions[lists.argmax()]
    rows[leg] = {
        "lists that a document is in, mean": lists.mean(),
        "most lists that one document is in": lists.max(),
        "these lists, fraction of all": lists.max() / len(vectors.queries),
        "documents in no list, fraction": (lists == 0).mean(),
        "that document": corpus.documents[top].id,
    }
    assert lists.sum() == n_hit * len(vectors.queries)
hubs = pd.DataFrame(rows)
hubs.map(lambda cell: cell if isinstance(cell, str) else f"{cell:.3g}")

# %% [markdown]
# A document in a large fraction of all lists is a **hub**: look at it. Often it is an empty page, a
# logo, or a text that says next to nothing.
#
# ### Look at hits
#
# One query, chosen by a rule that needs no judgments: the one whose merged list is
# nearest to half texts and half images, so that both legs can be seen; of several the first. Ticks
# mark relevant documents where they are known.

# %%
runs = {run.name: run for run in mg.run_strategies(vectors)}
chosen = corpus.query_ids[int(np.abs(text_fraction - 0.5).argmin())]
searches = {"by text": "text leg", "by image": "image leg", "merged by raw score": "max"}
searches = {label: run for label, run in searches.items() if run in runs}
settings.save(
    gallery(corpus, chosen, {label: runs[run] for label, run in searches.items()}, k=3),
    "hits",
    alt=f"The first three hits of one query, a column for each of: {', '.join(searches)}; each hit "
    "with image, text and score.",
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
table = Markdown("No judgments, no recall.")
if corpus.judged:
    recall = mg.recall_table(runs.values(), corpus.qrels, k=k, measures=measures)
    table = format_table(recall)
table

# %%
bars = Markdown("No judgments, no figure.")
if corpus.judged:
    best = recall[recall["measure"] == f"recall@{k}"].set_index("strategy")["value"]
    bars = settings.save(
        recall_bars(recall, measure=f"recall@{k}"),
        "recall",
        alt=f"Recall at {k} of each strategy as a dot with its 95 % CI. Highest: "
        f"{best.idxmax()}, {best.max():.2f}; lowest: {best.idxmin()}, {best.min():.2f}.",
        caption=f"What each leg and each simple merge finds. Highest: {best.idxmax()}; which "
        "differences count is tested below.",
        data={"recall": best.round(6)},
    )
bars

# %%
perfect = best.index[best == 1] if corpus.judged else []
for strategy in perfect:
    print(f"{strategy} finds everything within {k} hits: on these queries no merge can find more.")

# %% [markdown]
# ### Below which score should a hit be rejected?
#
# The queries are split in two at random. A threshold is found on the first half, and tried on the
# second: *target reached* says whether the 95 % CI there lies above the target, below it, or on
# both sides. `reason` says why there is no threshold.
# Both halves search the same documents, which is kinder to a threshold than a new corpus.

# %%
if corpus.judged:
    calibration, test = split_queries(vectors, seed=settings.seed)
    thresholds = threshold_table(calibration, test, precision=precision, rng=settings.rng(1))
    thresholds["target reached"] = [
        "" if np.isnan(row.observed) else verdict(row.ci_low, row.ci_high, row.target)
        for row in thresholds.itertuples()
    ]
    columns = ["leg", "threshold", "threshold_low", "threshold_high", "observed", "ci_low"]
    answer = thresholds[[*columns, "ci_high", "target reached", "reason"]].set_index("leg").round(3)
    answer = answer.astype(object).fillna("")
else:
    answer = Markdown("No judgments, no threshold: what is relevant must be known for some pairs.")
answer

# %% [markdown]
# ### Which merge
#
# The same halves, and the rule of the command `mmgap advise`: start with the better leg; take a
# step to more effort only where a merge is significantly better on the first half (paired
# randomisation test, corrected by Holm for all that is compared), each query judged by a fit that
# has not seen it. The second half has no say in the choice and shows what it is worth.

# %%
choose_from = [METHODS[method] for method in candidates]
advice = Markdown("**No advice on a merge:** without judged queries no merge can be called better.")
if is_judged and not has_both:
    advice = Markdown(f"**Nothing to merge:** one leg alone holds documents, {counts}.")
if is_judged and has_both:
    found = advise(calibration, test, methods=choose_from, n_labels=None, measure=f"recall@{k}")
    because = "\n".join(f"- {sentence}" for sentence in found.reasons)
    advice = Markdown(f"Advised: **{found.method}**\n\n{because}")
advice

# %%
table = Markdown("No judged queries of two legs, no table.")
if is_judged and has_both:
    table = format_advice(found, top=None).drop(columns=["not allowed", "ms"]).set_index("method")
table

# %% [markdown]
# *difference*: to the advised merge, in points; a star: p < .05, corrected. *Calibration* is the
# first half, *test* the second, shown for what has a role. The merge with the highest number is not
# the advised one where the difference to a simpler one can be chance. The same rule, for each class
# of queries by itself:

# %%
table = Markdown("No judged queries of two legs, no table.")
if is_judged and has_both:
    table = found.by_class.round(3).rename(columns={"method": "advised there"})
table

# %% [markdown]
# Classes T (texts are relevant) and I (images are) pull in opposite directions, and a merge that is
# best on all queries may cost one of them. With few queries of a class the rule stays with the
# better leg: that says "undecided", not "equal". If your queries have no `query_class`, nobody has
# looked whether that is so.
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
for number, document in enumerate(complete[: 2 * n_query]):
    stem = plain / f"{number:05d}"
    image = document.image.read_bytes()
    stem.with_suffix(Path(document.image.name).suffix).write_bytes(image)
    stem.with_suffix(".txt").write_text(document.text, encoding="utf-8")

# %%
table = Markdown("Not measured: it takes documents with both, and judgments.")
if corpus.judged and complete:
    pairs = mg.embed(mg.load_corpus(plain, on_error=on_error), encoder, progress=False)
    plain_runs = {run.name: run for run in mg.run_strategies(pairs)}
    both_ways = {"judged queries" if is_judged else "your folder": (runs, corpus)}
    both_ways["pairs"] = plain_runs, pairs.corpus
    compared = {
        where: {
            leg: 100 * evaluate(found[leg], of.qrels, measures[:1])["expected"].to_numpy().mean()
            for leg in found.keys() & {"text leg", "image leg"}
        }
        for where, (found, of) in both_ways.items()
    }
    assert list(plain_runs) == ["image leg"]  # a text does not meet itself
    table = pd.DataFrame(compared).round(1).astype(object).fillna("not ranked")
table

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
if corpus.judged:
    strategy = "mean" if "mean" in runs else next(iter(runs))
    values = evaluate(runs[strategy], corpus.qrels, measures[:1])["expected"].to_numpy()[:, 0]
    spread = values.std(ddof=1)
    for n in (25, 100, 400, 1600):
        half = 196 * spread / n**0.5
        print(f"{n:5d} judged queries: recall@{k} of {strategy} is known to ± {half:.1f} points")
    if spread == 0:
        print(f"Every query has the same recall, {values[0]:.0%}: no query tells merges apart.")

# %%
if corpus.judged and spread > 0:
    low, high = bootstrap_interval(values, rng=settings.rng(3))
    by_formula = 2 * 1.96 * spread / len(values) ** 0.5
    print(f"width of the 95 % CI by the bootstrap {100 * (high - low).item():.1f} points,")
    print(f"by the square root {100 * by_formula:.1f}")
    assert not is_example or abs((high - low).item() / by_formula - 1) < 0.25

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
# - Without judgments: where scores lie, who fills the first ranks, which documents are hubs. That
#   finds defects, and no merge.
# - With judgments: choose on one half of the queries, test what is compared, report the other half,
#   and read each class.
# - A threshold needs judgments of its own kind of data, and may still fail on new queries.
# - The same on the command line: `mmgap report --corpus FOLDER`, `mmgap advise --corpus FOLDER`.
#
# **References.** Jina AI: Fair scoring for multimodal documents, 25 May 2025. M. Radovanovic, A.
# Nanopoulos, M. Ivanovic: Hubs in Space. JMLR 2010 (hubness). W. Liang, Y. Zhang, Y. Kwon, S.
# Yeung, J. Zou: Mind the Gap. NeurIPS 2022.

# %%
provenance(seed=settings.seed)
