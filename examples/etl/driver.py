"""Sales of two years: read CSV files, clean and join them, aggregate, load into SQLite and write an HTML report."""

import csv
import html
import sqlite3
from collections import defaultdict
from datetime import date, datetime
from pathlib import Path

DATA = Path(__file__).parent / "data"


def read_table(path, delimiter=","):
    """The rows of a CSV file as dictionaries of strings."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def clean_customers(rows):
    """One row for each customer, with a tidy city; the country is taken from others in the same city if missing."""
    customers = {}
    for row in rows:
        customers[int(row["customer_id"])] = {
            "name": row["name"].strip(),
            "city": row["city"].strip().title(),
            "country": row["country"].strip() or None,
            "since": date.fromisoformat(row["since"]),
        }
    countries = {c["city"]: c["country"] for c in customers.values() if c["country"]}
    for customer in customers.values():
        customer["country"] = customer["country"] or countries.get(customer["city"], "??")
    return customers


def clean_products(rows):
    """Prices with a decimal comma become numbers."""
    return {
        row["sku"]: {
            "product": row["product"],
            "category": row["category"],
            "price": float(row["price"].replace(",", ".")),
        }
        for row in rows
    }


def parse_date(text):
    """2024-03-01 or 01.03.2024"""
    for form in ("%Y-%m-%d", "%d.%m.%Y"):
        try:
            return datetime.strptime(text, form).date()
        except ValueError:
            continue
    raise ValueError(f"not a date: {text!r}")


def clean_orders(rows):
    """Orders that were shipped, each once, and the rows that make no sense."""
    orders, rejected, seen = [], [], set()
    for row in rows:
        if row["order_id"] in seen:
            continue
        seen.add(row["order_id"])
        if row["status"] != "shipped":
            continue
        if not row["quantity"].isdigit() or int(row["quantity"]) < 1:
            rejected.append((row["order_id"], f"quantity {row['quantity']!r}"))
            continue
        orders.append(
            {
                "order_id": int(row["order_id"]),
                "date": parse_date(row["date"]),
                "customer_id": int(row["customer_id"]),
                "sku": row["sku"],
                "quantity": int(row["quantity"]),
            }
        )
    return orders, rejected


def join(orders, customers, products):
    """Each order with its customer and product; what has no partner is left out and told."""
    sales, orphans = [], []
    for order in orders:
        customer = customers.get(order["customer_id"])
        product = products.get(order["sku"])
        if customer is None or product is None:
            orphans.append((order["order_id"], "unknown customer" if customer is None else "unknown product"))
            continue
        amount = round(order["quantity"] * product["price"], 2)
        sales.append({**order, **customer, **product, "amount": amount})
    return sales, orphans


def total_by(sales, *keys):
    """Sum of the amounts for each combination of *keys*, largest first."""
    totals = defaultdict(float)
    for sale in sales:
        totals[tuple(sale[key] for key in keys)] += sale["amount"]
    return sorted(((key, round(total, 2)) for key, total in totals.items()), key=lambda item: (-item[1], item[0]))


def by_month(sales):
    totals = defaultdict(float)
    for sale in sales:
        totals[sale["date"].strftime("%Y-%m")] += sale["amount"]
    return {month: round(totals[month], 2) for month in sorted(totals)}


def write_database(path, sales, monthly):
    """Everything in two tables, made anew."""
    Path(path).unlink(missing_ok=True)
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(
            "CREATE TABLE sales (order_id INTEGER PRIMARY KEY, date TEXT, customer TEXT, city TEXT, country TEXT, "
            "product TEXT, category TEXT, quantity INTEGER, amount REAL)"
        )
        connection.execute("CREATE TABLE months (month TEXT PRIMARY KEY, amount REAL)")
        connection.executemany(
            "INSERT INTO sales VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    s["order_id"],
                    s["date"].isoformat(),
                    s["name"],
                    s["city"],
                    s["country"],
                    s["product"],
                    s["category"],
                    s["quantity"],
                    s["amount"],
                )
                for s in sales
            ],
        )
        connection.executemany("INSERT INTO months VALUES (?, ?)", list(monthly.items()))
    connection.close()


def html_table(title, header, rows):
    cells = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    lines = [f"<h2>{html.escape(title)}</h2>", "<table>", f"<tr>{cells}</tr>"]
    for row in rows:
        lines.append("<tr>" + "".join(f"<td>{html.escape(str(value))}</td>" for value in row) + "</tr>")
    lines.append("</table>")
    return "\n".join(lines)


def write_report(path, monthly, countries, categories, problems):
    parts = [
        "<!doctype html><meta charset='utf-8'><title>Sales</title>",
        "<style>body{font-family:sans-serif;margin:2em} td,th{padding:.2em 1em;text-align:left}</style>",
        "<h1>Sales</h1>",
        html_table("Months", ["month", "EUR"], monthly.items()),
        html_table("Countries", ["country", "EUR"], [(*key, total) for key, total in countries]),
        html_table("Categories", ["category", "country", "EUR"], [(*key, total) for key, total in categories]),
        html_table("Left out", ["order", "because"], problems),
    ]
    Path(path).write_text("\n".join(parts), encoding="utf-8")


def main(database="sales.sqlite", report="report.html"):
    customer_rows = read_table(DATA / "customers.csv")
    product_rows = read_table(DATA / "products.csv", delimiter=";")
    rows_2023 = read_table(DATA / "orders_2023.csv")
    rows_2024 = read_table(DATA / "orders_2024.csv")

    customers = clean_customers(customer_rows)
    products = clean_products(product_rows)
    orders_2023, rejected_2023 = clean_orders(rows_2023)
    orders_2024, rejected_2024 = clean_orders(rows_2024)

    sales, orphans = join(orders_2023 + orders_2024, customers, products)
    problems = rejected_2023 + rejected_2024 + orphans

    monthly = by_month(sales)
    countries = total_by(sales, "country")
    categories = total_by(sales, "category", "country")

    write_database(database, sales, monthly)
    write_report(report, monthly, countries, categories, problems)

    total = sum(monthly.values())
    print(f"{len(sales)} sales, {len(problems)} orders left out, {total:,.2f} EUR")
    print("best month:", max(monthly, key=monthly.get))
    for (country,), amount in countries[:3]:
        print(f"  {country} {amount:>12,.2f}")
    return round(total, 2)


if __name__ == "__main__":
    main()
