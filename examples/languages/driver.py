"""What a web server's log says, with each step in the language that it was written in years ago.

The log is cut by bash, counted by awk and perl, and put together here.
"""

import json
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUT = Path("out")


def split_by_day(log):
    """One file a day, sorted (bash)."""
    subprocess.run(["bash", HERE / "scripts" / "split.sh", log, OUT], check=True)
    return sorted(OUT.glob("day-*.log"))


def hits(path):
    """Requests by page of one day (awk)."""
    text = subprocess.check_output(["awk", "-f", HERE / "scripts" / "hits.awk", path], text=True)
    return {page: int(count) for page, count in (line.split("\t") for line in text.splitlines())}


def slowest(path):
    """The slowest request of one day (perl)."""
    done = subprocess.run(["perl", HERE / "scripts" / "slowest.pl", path], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def total(counts):
    """Requests by page of all days, most first."""
    found = {}
    for day in counts:
        for page, count in day.items():
            found[page] = found.get(page, 0) + count
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def main(log=HERE / "access.txt"):
    days = split_by_day(log)
    counts = [hits(day) for day in days]
    slow = {day.stem: slowest(day) for day in days}
    pages = total(counts)
    for page, count in pages.items():
        print(f"{count:5}  {page}")
    for day, request in slow.items():
        print(f"{day}: {request['page']} took {request['ms']} ms")
    (OUT / "summary.json").write_text(json.dumps({"pages": pages, "slow": slow}, indent=1) + "\n")
    return pages


if __name__ == "__main__":
    main()
