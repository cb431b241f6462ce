// Tables sort by a click on a head; the page is whole without this.
"use strict";
const number = (text, comma) => {
  const plain = text.replace(/[\u00a0\u202f\s]/g, "").replace("\u2212", "-");
  const found = (comma ? plain.replace(",", ".") : plain.replace(/,/g, "")).match(/[-+]?\d+(\.\d+)?/);
  return found ? parseFloat(found[0]) : NaN;
};
const sort = (table, column, down) => {
  const comma = document.documentElement.lang === "fr";
  const key = (row) => (row.cells[column] ? row.cells[column].textContent.trim() : "");
  for (const body of table.tBodies) {
    const rows = [...body.rows], fixed = rows.filter((row) => row.classList.contains("group"));
    const rest = rows.filter((row) => !row.classList.contains("group"));
    const isNumber = table.tHead.rows[0].cells[column].classList.contains("n");
    const ordered = rest.map((row) => [isNumber ? number(key(row), comma) : key(row), row]).sort(([a], [b]) => {
      if (!isNumber) return a.localeCompare(b, document.documentElement.lang, {numeric: true});
      if (isNaN(a) || isNaN(b)) return isNaN(a) - isNaN(b) || 0;
      return a - b;
    });
    const told = isNumber ? ordered.filter(([value]) => !isNaN(value)) : ordered;
    const untold = isNumber ? ordered.filter(([value]) => isNaN(value)) : [];
    if (down) told.reverse();
    body.append(...fixed, ...[...told, ...untold].map(([, row]) => row));
  }
};
for (const table of document.querySelectorAll("table")) {
  if (!table.tHead || table.classList.contains("confusion") || table.rows.length < 3) continue;
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    if (!head.textContent.trim()) return;
    head.tabIndex = 0;
    head.classList.add("sortable");
    head.setAttribute("aria-sort", "none");
    const turn = () => {
      const down = head.getAttribute("aria-sort") === "none" ? head.classList.contains("n")
        : head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) if (other !== head) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      sort(table, column, down);
    };
    head.addEventListener("click", turn);
    head.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); turn(); }
    });
  });
}
