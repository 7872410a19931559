"use strict";
(() => {
  const table = document.getElementById("benchmarks");
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const form = document.getElementById("filter");
  const text = document.getElementById("filter-text");
  const shown = document.getElementById("shown");
  const sections = [...document.querySelectorAll("details[data-order]")];

  // Sorting: a button in each heading, so that the keyboard reaches it; a third press restores the report's order.
  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.hasAttribute("data-sort") ? cell.dataset.sort : cell.textContent.trim();
  };
  const sort = (heading) => {
    const before = heading.getAttribute("aria-sort");
    const direction = before === "ascending" ? "descending" : before === "descending" ? null : "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    if (direction) heading.setAttribute("aria-sort", direction);
    const column = heading.cellIndex;
    const numeric = body.rows[0]?.cells[column].hasAttribute("data-sort");
    const sign = direction === "descending" ? -1 : 1;
    rows.sort((a, b) => {
      const order = a.dataset.order - b.dataset.order;
      if (!direction) return order;
      const [x, y] = [value(a, column), value(b, column)];
      if (numeric && (x === "" || y === "")) return (x === "") - (y === "") || order;
      return sign * (numeric ? x - y : x.localeCompare(y, "en", {numeric: true})) || order;
    });
    body.append(...rows);
  };
  for (const heading of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    button.addEventListener("click", () => sort(heading));
    heading.append(button);
  }

  // Filtering: rows of the table and the sections below it together.
  const filter = () => {
    const wanted = text.value.trim().toLowerCase();
    const verdicts = new Set([...form.querySelectorAll("[name=verdict]:checked")].map((box) => box.value));
    let count = 0;
    for (const row of rows) {
      const name = row.cells[0].textContent.toLowerCase();
      const keep = verdicts.has(row.dataset.verdict) && name.includes(wanted);
      row.hidden = !keep;
      sections[row.dataset.order].hidden = !keep;
      count += keep;
    }
    shown.textContent = `${count} of ${rows.length} shown`;
  };
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  filter();

  // A link to a benchmark opens its section.
  const reveal = () => {
    const section = sections.find((section) => `#${section.id}` === location.hash);
    if (!section) return;
    section.hidden = false;
    section.open = true;
    section.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    if (link && link.getAttribute("href") === location.hash) reveal();
  });
  reveal();

  const openAll = document.getElementById("open-all");
  openAll.hidden = false;
  openAll.addEventListener("click", () => {
    const open = openAll.textContent === "Open all";
    for (const section of sections) section.open = open;
    openAll.textContent = open ? "Close all" : "Open all";
  });
})();
