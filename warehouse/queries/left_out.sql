-- Benchmark images without a score, unperturbed, by reason.
--   dataset: name of the benchmark set
--   track: what happened to every image before it was judged; format_matched is the headline
--   detector: name of the detector
--   reason: why there is no score
--   photographs: photographs left out [images]
--   generated: generated images left out [images]
--   judged: images of the set that this detector scored on this track [images]
WITH unperturbed AS (
    SELECT * FROM benchmark_scores WHERE perturbation = 'none'
), judged AS (
    SELECT dataset, track, detector, count(score) AS judged
    FROM unperturbed
    GROUP BY dataset, track, detector
)
SELECT
    dataset, track, detector, coalesce(reason, 'unknown') AS reason,
    count(*) FILTER (WHERE label = 0) AS photographs,
    count(*) FILTER (WHERE label = 1) AS generated,
    any_value(judged) AS judged
FROM unperturbed
JOIN judged USING (dataset, track, detector)
WHERE score IS NULL
GROUP BY dataset, track, detector, coalesce(reason, 'unknown')
ORDER BY track <> 'format_matched', track, dataset, detector, reason
