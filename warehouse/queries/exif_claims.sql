-- Do the pixels tell a photograph's own EXIF from another's? All tags together first, then the best told.
--   backbone: identity of the backbone
--   read_by: what reads tags from pixels: the backbone's heads, or statistics
--   judges: whether this judges pictures: it tells all tags together better
--   tag: the EXIF tag; `all` for all of them together
--   swapped_with: whose EXIF takes the place of the own: another_source's, of the same_corpus or of another_model
--   photographs: photographs that exchanged this tag [photographs]
--   sources: sources they come from [groups]
--   pairs: pairs of photographs that exchanged it [pairs]
--   auroc: area under the ROC curve, swapped = positive; .5 is chance; null: the pixels say nothing of it
--   auroc_low: lower end of the 95% bootstrap interval over sources
--   auroc_high: upper end of the 95% bootstrap interval over sources
--   told: the whole interval lies above .5
--   found_at_5: share of swapped values whose p-value is at most .05; .05 is chance
SELECT
    backbone, read_by, judges, tag, swapped_with, photographs, sources, pairs,
    auroc, auroc_low, auroc_high, auroc_low > 0.5 AS told, found_at_5
FROM exif_claims
ORDER BY
    backbone, NOT judges, read_by, tag <> 'all', max(auroc) OVER (PARTITION BY backbone, read_by, tag) DESC NULLS LAST, tag,
    swapped_with <> 'another_source', swapped_with
