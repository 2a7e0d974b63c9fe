-- How often Pillow's own EXIF reader says the same as exiftool, by tag; the least agreement first.
--   tag: column of the table exif
--   agreement: agreed over all photographs that have the tag by either reader
--   compared: photographs that have it by both [photographs]
--   agreed: those where both say the same [photographs]
--   only_exiftool: photographs that have it by exiftool alone [photographs]
--   only_pillow: photographs that have it by Pillow alone [photographs]
--   example_photo: a photograph where they differ, the first by SHA-256; null if there is none
--   exiftool: what exiftool reads there
--   pillow: what Pillow reads there
SELECT
    tag,
    agreed / nullif(compared + only_exiftool + only_pillow, 0) AS agreement,
    compared,
    agreed,
    only_exiftool,
    only_pillow,
    photo_id AS example_photo,
    exiftool,
    pillow
FROM exif_agreement
LEFT JOIN (
    FROM exif_disagreements
    QUALIFY row_number() OVER (PARTITION BY tag ORDER BY photo_id) = 1
) USING (tag)
ORDER BY agreement, tag
