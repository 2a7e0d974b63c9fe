-- Realised against nominal false-positive rate, by detector and source of photographs.
--   track: what happened to every photograph before it was judged; format_matched is the headline
--   detector: name of the detector
--   origin: validation (fold 3 of a corpus) or the benchmark set
--   source: corpus, or source of photographs within the set
--   nominal_fpr: false-positive rate asked for
--   photographs: photographs judged [photographs]
--   flagged: photographs flagged at the nominal rate [photographs]
--   realised_fpr: share flagged
--   realised_low: lower end of the 95% Clopper-Pearson interval
--   realised_high: upper end of the 95% Clopper-Pearson interval
--   holds: the nominal rate lies within the interval
SELECT
    track, detector, origin, source, nominal_fpr,
    photographs, flagged, realised_fpr, realised_low, realised_high,
    nominal_fpr BETWEEN realised_low AND realised_high AS holds
FROM benchmark_calibration
ORDER BY track <> 'format_matched', track, detector, origin <> 'validation', origin, source, nominal_fpr
