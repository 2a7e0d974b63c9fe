-- How well the backbone tells each EXIF tag on groups it never saw, best gain first.
--   role: trained or untrained
--   backbone: identity of the backbone
--   tag: the EXIF tag
--   kind: categorical (value = accuracy) or ranked (value = share of pairs in the right order)
--   labelled: validation photographs that have the tag [photographs]
--   groups: groups they come from [groups]
--   value: accuracy, or share of pairs in the right order
--   value_low: lower end of the 95% bootstrap interval over groups
--   value_high: upper end of the 95% bootstrap interval over groups
--   baseline: what knowing nothing gives: share of the majority class, or .5
--   gain: value less baseline
--   learned: the whole interval lies above the baseline
--   tie_rate: ranked tags: share of pairs with equal values, left out
--   within_groups: ranked tags: the same over pairs within one group
--   within_low: lower end of its 95% bootstrap interval over groups
--   within_high: upper end of its 95% bootstrap interval over groups
SELECT
    role, backbone, tag, kind, labelled, pretext_metrics.groups,
    value, value_low, value_high, baseline,
    value - baseline AS gain,
    value_low > baseline AS learned,
    tie_rate, within_groups, within_low, within_high
FROM pretext_metrics
LEFT JOIN backbones USING (backbone)
ORDER BY role NULLS LAST, backbone, kind DESC, gain DESC NULLS LAST, tag
