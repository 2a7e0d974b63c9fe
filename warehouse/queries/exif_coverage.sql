-- Share of photographs that have each EXIF tag, over all makes and by make.
--   make: maker of the camera; `all makes` comes first, `no make` are photographs without one
--   tag: column of the table exif
--   photographs: photographs of this make [photographs]
--   having: photographs of this make that have the tag [photographs]
--   share: having over photographs
WITH counted AS (
    SELECT
        CASE WHEN grouping(make) = 1 THEN 'all makes' ELSE coalesce(make, 'no make') END AS camera_make,
        grouping(make) AS everything,
        count(*) AS photographs,
        count(make) AS make,
        count(model) AS model,
        count(flash) AS flash,
        count(metering_mode) AS metering_mode,
        count(exposure_mode) AS exposure_mode,
        count(white_balance) AS white_balance,
        count(scene_capture_type) AS scene_capture_type,
        count(f_number) AS f_number,
        count(exposure_time_s) AS exposure_time_s,
        count(iso) AS iso,
        count(focal_length_mm) AS focal_length_mm,
        count(focal_length_35mm_mm) AS focal_length_35mm_mm,
        count(exposure_bias_ev) AS exposure_bias_ev,
        count(brightness_ev) AS brightness_ev,
        count(exposure_program) AS exposure_program,
        count(light_source) AS light_source,
        count(digital_zoom_ratio) AS digital_zoom_ratio,
        count(max_aperture_f_number) AS max_aperture_f_number,
        count(orientation) AS orientation,
        count(taken_at) AS taken_at,
        count(software) AS software
    FROM exif
    GROUP BY GROUPING SETS ((), (make))
), long AS (
    UNPIVOT counted
    ON
        make, model, flash, metering_mode, exposure_mode, white_balance, scene_capture_type, f_number,
        exposure_time_s, iso, focal_length_mm, focal_length_35mm_mm, exposure_bias_ev, brightness_ev,
        exposure_program, light_source, digital_zoom_ratio, max_aperture_f_number, orientation,
        taken_at, software
    INTO NAME tag VALUE having_tag
)
SELECT camera_make AS make, tag, photographs, having_tag AS "having", having_tag / photographs AS share
FROM long
WHERE photographs > 0
ORDER BY everything DESC, photographs DESC, camera_make, share DESC, tag
