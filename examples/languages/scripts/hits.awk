# Requests by page, in the order of their names.
{ hits[$3]++ }
END { for (page in hits) print page "\t" hits[page] | "sort" }
