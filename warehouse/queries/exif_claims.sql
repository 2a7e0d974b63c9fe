-- Do the pixels tell a photograph's own EXIF from another's? All tags together first, then the best told.
--   backbone: identity of the backbone
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
    backbone, tag, swapped_with, photographs, sources, pairs,
    auroc, auroc_low, auroc_high, auroc_low > 0.5 AS told, found_at_5
FROM exif_claims
ORDER BY
    backbone, tag <> 'all', max(auroc) OVER (PARTITION BY backbone, tag) DESC NULLS LAST, tag,
    swapped_with <> 'another_source', swapped_with
