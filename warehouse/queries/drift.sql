-- Are photographs that came in since the champion was made like those before? What makes retraining due first.
--   measure: what is compared; retraining: whether any of the others makes it due
--   subject: the tag, or what became of photographs of the sample; else all
--   due: this makes retraining due
--   before: share of the photographs before; of p_values the median
--   now: share of the new photographs, or of all for new_photographs; of p_values the median
--   count_now: photographs that `now` counts [photographs]
--   of_now: those it is a share of [photographs]
--   low: lower end of the 95% Clopper-Pearson interval of `now`, or its one-sided bound
--   high: upper end of the interval; null where the bound is one-sided
--   p_value: of no drift
--   reason: the same in words, with both numbers
--   champion: identity of the detector that answers; null: none
SELECT measure, subject, due, before, now, count_now, of_now, low, high, p_value, reason, champion
FROM drift
ORDER BY measure <> 'retraining', NOT due, measure, p_value NULLS LAST, subject
