-- Is one detector better than another on the same images? Every pair both ways round.
--   dataset: name of the benchmark set
--   track: what happened to every image before it was judged; format_matched is the headline
--   generator: the generator, `small_sets` or `all`
--   detector: name of the detector
--   other: name of the detector it is compared with
--   n_real: photographs scored by both [images]
--   n_fake: generated images scored by both [images]
--   difference: AUROC of the detector minus AUROC of the other
--   difference_low: lower end of the 95% interval of paired bootstrap draws
--   difference_high: upper end of the 95% interval of paired bootstrap draws
--   p_value: two-sided p-value of DeLong's test for equal AUROC, not corrected for the number of comparisons
--   verdict: better or worse where the interval does not hold 0, else undecided
WITH both_ways AS (
    FROM benchmark_comparisons
    UNION ALL BY NAME
    SELECT
        dataset, track, generator, other AS detector, detector AS other, n_real, n_fake, p_value,
        -difference AS difference, -difference_high AS difference_low, -difference_low AS difference_high
    FROM benchmark_comparisons AS given
    WHERE NOT EXISTS (
        FROM benchmark_comparisons AS turned
        WHERE turned.dataset = given.dataset AND turned.track = given.track AND turned.generator = given.generator
            AND turned.detector = given.other AND turned.other = given.detector
    )
)
SELECT
    dataset, track, generator, detector, other, n_real, n_fake,
    difference, difference_low, difference_high, p_value,
    CASE WHEN difference_low > 0 THEN 'better' WHEN difference_high < 0 THEN 'worse' ELSE 'undecided' END AS verdict
FROM both_ways
ORDER BY
    track <> 'format_matched', track, dataset, generator <> 'all', generator = 'small_sets', generator, detector, other
