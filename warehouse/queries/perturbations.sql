-- What JPEG, resizing, blur and noise do to each detector, over the whole set.
--   dataset: name of the benchmark set
--   track: what happened to every image before it was judged; format_matched is the headline
--   detector: name of the detector
--   perturbation: what was done to the image after the track; none comes first
--   n_real: photographs scored [images]
--   n_fake: generated images scored [images]
--   auroc: area under the ROC curve, generated = positive
--   auroc_low: auroc: lower end of the 95% bootstrap interval
--   auroc_high: auroc: upper end of the 95% bootstrap interval
--   change: auroc less the auroc of the unperturbed images
--   accuracy_real: share of photographs not flagged at the threshold frozen on unperturbed photographs
--   accuracy_fake: share of generated images flagged at the same threshold
SELECT
    dataset, track, detector, perturbation,
    n_real, n_fake,
    auroc, auroc_low, auroc_high,
    auroc - first_value(auroc) OVER (
        PARTITION BY dataset, track, detector ORDER BY perturbation <> 'none', perturbation
    ) AS change,
    accuracy_real, accuracy_fake
FROM benchmark_metrics
WHERE generator = 'all'
ORDER BY track <> 'format_matched', track, dataset, detector, perturbation <> 'none', perturbation
