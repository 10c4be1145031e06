#!/usr/bin/env bash
# split.sh LOG FOLDER: one sorted file a day. A line of the log: date time page milliseconds
set -euo pipefail
mkdir -p "$2"
cut -d' ' -f1 "$1" | sort -u | while read -r day; do
    grep "^$day " "$1" | sort > "$2/day-$day.log"
done
echo "$(ls "$2" | grep -c '^day-') days in $1" | sed "s#$(dirname "$1")/##"
