-- The dedupe keys of a batch, blindly.
INSERT INTO campaigns_dedupe_0 (k) SELECT i.k FROM unnest(%(keys)s::uuid[]) AS i (k)
