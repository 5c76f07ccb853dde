-- Every row and column of a Parquet file, with the types that the file gives.
-- Grain: one row per row of the file, in its order. The columns are the file's: which of them are needed, and of what
-- type, its format's reader checks and names.
-- Parameters: $file, a path in which *, ? and [ are escaped.
SELECT *
FROM read_parquet($file, hive_partitioning = false);  -- a folder called a=b adds no column
