"use strict";
// Tables that can be sorted and filtered, links that open what they lead to, and buttons that copy. A page works without.
// What a reader has chosen is in the address, behind the #: `#benchmarks.sort=ratio.descending&benchmarks.q=getvalue`,
// and the place a link led to beside it, as `at=ID`, so that following one does not undo the other.
const lockstep = (() => {
  const isState = (hash) => hash.includes("=");
  const state = () => new URLSearchParams(isState(location.hash) ? location.hash.slice(1) : "");
  const address = (now) => {
    const rest = now.toString();
    return rest ? `#${rest}` : location.pathname + location.search;
  };
  // Keep a choice in the address; an empty one is none.
  const keep = (key, text) => {
    const now = state();
    if (text) now.set(key, text); else now.delete(key);
    history.replaceState(null, "", address(now));
  };
  const restorers = [];
  return {state, address, keep, isState, onRestore: (restore) => { restorers.push(restore); restore(); },
          restore: () => restorers.forEach((restore) => restore())};
})();

(() => {
  const {state, keep, isState} = lockstep;
  const order = (row) => Number(row.dataset.order);
  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.hasAttribute("data-sort") ? cell.dataset.sort : cell.textContent.trim();
  };
  // Sizes sort as what they count.
  const units = {KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30};
  const counted = (text) => text.replace(/(\d+(?:\.\d+)?) ?([KMG]iB)/g, (_, number, unit) => String(number * units[unit]));

  for (const table of document.querySelectorAll("table[data-sortable]")) {
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
      const column = heading ? heading.cellIndex : 0;
      const numeric = rows[0]?.cells[column].hasAttribute("data-sort");
      const sign = direction === "descending" ? -1 : 1;
      rows.sort((a, b) => {
        if (!direction) return order(a) - order(b);
        const [x, y] = [value(a, column), value(b, column)];
        if (numeric && (x === "" || y === "")) return (x === "") - (y === "") || order(a) - order(b);
        return sign * (numeric ? x - y : counted(x).localeCompare(counted(y), "en", {numeric: true})) || order(a) - order(b);
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
    const choices = form ? [...form.querySelectorAll("select[data-choice]")] : [];
    const named = (name) => form?.querySelector(`[name="${name}"]`);
    const [search, least, changed] = ["q", "least", "changed"].map(named);
    const filter = () => {
      const wanted = search.value.trim().toLowerCase();
      const verdicts = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
      const smallest = Number(least?.value) || 0;
      const fits = (row) => row.cells[0].textContent.toLowerCase().includes(wanted)
        && (!boxes.length || verdicts.has(row.dataset.verdict))
        && (!smallest || Number(row.dataset.size ?? -1) >= smallest)
        && (!changed?.checked || ["faster", "slower"].includes(row.dataset.verdict))
        && choices.every((choice) => !choice.value || row.dataset[choice.name] === choice.value);
      let count = 0;
      for (const row of rows) {
        const shown = fits(row);
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
        keep(`${table.id}.q`, search.value.trim());
        if (least) keep(`${table.id}.least`, Number(least.value) > 0 ? least.value : "");
        if (changed) keep(`${table.id}.changed`, changed.checked ? "yes" : "");
        for (const choice of choices) keep(`${table.id}.${choice.name}`, choice.value);
        const chosen = boxes.filter((box) => box.checked).map((box) => box.value);
        keep(`${table.id}.verdict`, chosen.length < boxes.length ? chosen.join(".") || "none" : "");
      });
      form.addEventListener("submit", (event) => event.preventDefault());
      form.hidden = false;
    }

    lockstep.onRestore(() => {
      const now = state();
      const of = (name) => now.get(`${table.id}.${name}`) ?? "";
      const [column, direction] = of("sort").split(".");
      const heading = headings.find((cell) => cell.dataset.column === column);
      if (heading && ["ascending", "descending"].includes(direction)) sort(heading, direction);
      else if (headings.some((cell) => cell.hasAttribute("aria-sort"))) sort(headings[0], "");
      if (!form) return;
      search.value = of("q");
      if (least) least.value = of("least");
      if (changed) changed.checked = of("changed") === "yes";
      for (const choice of choices) choice.value = [...choice.options].some((one) => one.value === of(choice.name)) ? of(choice.name) : "";
      const verdicts = of("verdict") ? of("verdict").split(".") : null;
      for (const box of boxes) box.checked = !verdicts || verdicts.includes(box.value);
      filter();
    });
  }

  // A link to a section opens it, whatever the filter hides.
  const reveal = (id) => {
    const there = id && document.getElementById(id);
    if (!there) return;
    there.hidden = false;
    for (let node = there; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
    there.scrollIntoView();
    const first = there.tagName === "DETAILS" ? there.querySelector("summary") : there;
    first.focus({preventScroll: true});
  };
  const place = () => isState(location.hash) ? state().get("at") : decodeURIComponent(location.hash.slice(1));
  const restore = () => {
    lockstep.restore();
    reveal(place());
  };
  addEventListener("hashchange", restore);
  addEventListener("popstate", restore);
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#"]');
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const id = decodeURIComponent(link.getAttribute("href").slice(1));
    const now = state();
    const chosen = [...now.keys()].some((key) => key !== "at");
    now.set("at", id);
    history.pushState(null, "", chosen ? lockstep.address(now) : `#${encodeURIComponent(id)}`);
    reveal(id);
  });
  reveal(place());

  // What a cell's name says to a screen reader, the mouse may read too.
  for (const link of document.querySelectorAll(".picture a[aria-label]")) link.title = link.getAttribute("aria-label");

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
