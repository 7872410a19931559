"use strict";
// Tables that can be sorted and filtered, links that open what they lead to, and buttons that copy. A page works without.
// What a reader has chosen is in the address, behind the #: `#benchmarks.sort=ratio.descending&benchmarks.q=getvalue`.
(() => {
  const order = (row) => Number(row.dataset.order);
  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.hasAttribute("data-sort") ? cell.dataset.sort : cell.textContent.trim();
  };
  const isState = (hash) => hash.includes("=");
  const state = () => new URLSearchParams(isState(location.hash) ? location.hash.slice(1) : "");
  const keep = (key, text) => {
    const now = state();
    if (text) now.set(key, text); else now.delete(key);
    const rest = now.toString();
    history.replaceState(null, "", rest ? `#${rest}` : location.pathname + location.search);
  };

  const parts = [...document.querySelectorAll("table[data-sortable]")].map((table) => {
    const body = table.tBodies[0];
    const rows = [...body.rows];
    rows.forEach((row, index) => { row.dataset.order = index; });
    const headings = [...table.tHead.rows[0].cells].filter((cell) => cell.dataset.column);
    const form = document.querySelector(`form[data-table="${table.id}"]`);
    // A row's own section further down, which is filtered with it.
    const section = (row) => {
      const href = row.cells[0].querySelector("a")?.getAttribute("href");
      return href?.startsWith("#") ? document.getElementById(href.slice(1)) : null;
    };

    const sort = (heading, direction) => {
      for (const other of headings) other.removeAttribute("aria-sort");
      if (direction) heading.setAttribute("aria-sort", direction);
      const column = heading.cellIndex;
      const numeric = body.rows[0]?.cells[column].hasAttribute("data-sort");
      const sign = direction === "descending" ? -1 : 1;
      rows.sort((a, b) => {
        if (!direction) return order(a) - order(b);
        const [x, y] = [value(a, column), value(b, column)];
        if (numeric && (x === "" || y === "")) return (x === "") - (y === "") || order(a) - order(b);
        return sign * (numeric ? x - y : x.localeCompare(y, "en", {numeric: true})) || order(a) - order(b);
      });
      body.append(...rows);
    };
    for (const heading of headings) {
      // A button, so that the keyboard reaches it; a third press restores the first order.
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      button.addEventListener("click", () => {
        const before = heading.getAttribute("aria-sort");
        const direction = before === "ascending" ? "descending" : before === "descending" ? "" : "ascending";
        sort(heading, direction);
        keep(`${table.id}.sort`, direction && `${heading.dataset.column}.${direction}`);
      });
      heading.append(button);
    }

    const boxes = form ? [...form.querySelectorAll("[name=verdict]")] : [];
    const filter = () => {
      const wanted = form.elements.q.value.trim().toLowerCase();
      const verdicts = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
      let count = 0;
      for (const row of rows) {
        const text = row.cells[0].textContent.toLowerCase();
        const shown = text.includes(wanted) && (!boxes.length || verdicts.has(row.dataset.verdict));
        row.hidden = !shown;
        const own = section(row);
        if (own) own.hidden = !shown;
        count += shown;
      }
      form.querySelector("output").textContent = `${count} of ${rows.length} shown`;
    };
    if (form) {
      form.addEventListener("input", () => {
        filter();
        keep(`${table.id}.q`, form.elements.q.value.trim());
        const chosen = boxes.filter((box) => box.checked).map((box) => box.value);
        keep(`${table.id}.verdict`, chosen.length < boxes.length ? chosen.join(".") || "none" : "");
      });
      form.addEventListener("submit", (event) => event.preventDefault());
      form.hidden = false;
    }

    return () => {
      const now = state();
      const [column, direction] = (now.get(`${table.id}.sort`) ?? "").split(".");
      const heading = headings.find((cell) => cell.dataset.column === column);
      if (heading && ["ascending", "descending"].includes(direction)) sort(heading, direction);
      if (!form) return;
      form.elements.q.value = now.get(`${table.id}.q`) ?? "";
      const verdicts = now.get(`${table.id}.verdict`)?.split(".");
      for (const box of boxes) box.checked = !verdicts || verdicts.includes(box.value);
      filter();
    };
  });

  // A link to a section opens it.
  const reveal = () => {
    const there = location.hash.length > 1 && !isState(location.hash) && document.getElementById(location.hash.slice(1));
    if (there?.tagName !== "DETAILS") return;
    there.hidden = false;
    there.open = true;
    there.scrollIntoView();
  };
  const restore = () => {
    for (const part of parts) part();
    reveal();
  };
  addEventListener("hashchange", restore);
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    if (link && link.getAttribute("href") === location.hash) reveal();
  });
  restore();

  const openAll = document.getElementById("open-all");
  if (openAll) {
    openAll.hidden = false;
    openAll.addEventListener("click", () => {
      const open = openAll.textContent === "Open all";
      for (const details of document.querySelectorAll("details[data-section]")) details.open = open;
      openAll.textContent = open ? "Close all" : "Open all";
    });
  }

  for (const button of document.querySelectorAll("button.copy")) {
    if (!navigator.clipboard) break;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.dataset.copy);
      const before = button.innerHTML;
      button.textContent = "Copied";
      setTimeout(() => { button.innerHTML = before; }, 1500);
    });
  }
})();
