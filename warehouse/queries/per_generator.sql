-- Every family of detectors against every generator, headline track first.
--   dataset: name of the benchmark set
--   track: what happened to every image before it was judged; format_matched is the headline
--   detector: the family; a detector that is alone in it has its name
--   member: whose row this is: in a family of several, the one not trained on the generator
--   generator: the generator; small_sets pools those with fewer than 20 generated images
--   seen: it was trained on images of this generator
--   n_real: photographs scored [images]
--   n_fake: generated images scored [images]
--   left_out: images without a score on this track [images]
--   auroc: area under the ROC curve, generated = positive
--   auroc_low: auroc: lower end of the 95% bootstrap interval
--   auroc_high: auroc: upper end of the 95% bootstrap interval
--   auroc_equal_complexity: AUROC within bins of equal mean absolute residual
--   auroc_equal_complexity_low: auroc_equal_complexity: lower end of the 95% bootstrap interval
--   auroc_equal_complexity_high: auroc_equal_complexity: upper end of the 95% bootstrap interval
--   average_precision: average precision, generated = positive
--   tpr_at_1_fpr: share of generated images found when 1% of photographs are flagged; null below 100 photographs
--   tpr_at_5_fpr: share of generated images found when 5% of photographs are flagged; null below 20 photographs
--   balanced_accuracy: mean of accuracy on photographs and on generated images at the frozen threshold
--   accuracy_real: share of photographs not flagged at the frozen threshold
--   accuracy_fake: share of generated images flagged at the frozen threshold
SELECT
    dataset, track, detector, member, generator, seen,
    n_real, n_fake, left_out,
    auroc, auroc_low, auroc_high,
    auroc_equal_complexity, auroc_equal_complexity_low, auroc_equal_complexity_high,
    average_precision, tpr_at_1_fpr, tpr_at_5_fpr, balanced_accuracy, accuracy_real, accuracy_fake
FROM family_metrics
WHERE perturbation = 'none' AND generator <> 'all'
ORDER BY track <> 'format_matched', track, dataset, detector, generator = 'small_sets', generator
