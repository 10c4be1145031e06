# The slowest request of a log, as JSON.
use strict;
use warnings;
my ($page, $most) = ("", -1);
while (<>) {
    my (undef, undef, $here, $ms) = split;
    ($page, $most) = ($here, $ms) if $ms > $most;
}
print "{\"page\": \"$page\", \"ms\": $most}\n";
