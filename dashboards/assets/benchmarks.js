"use strict";
// Finds benchmarks in the index. What a reader looks for is in the address: `#q=getvalue&changed=1`.
(() => {
  const form = document.getElementById("find");
  const table = document.getElementById("index");
  if (!table) return;
  const groups = [...table.tBodies].map((body) => ({
    body,
    rows: [...body.rows].slice(1).map((row) => ({row, name: `${body.dataset.name}.${row.cells[0].textContent}`.toLowerCase()})),
  }));
  const total = groups.reduce((sum, group) => sum + group.rows.length, 0);

  const filter = () => {
    const wanted = form.elements.q.value.trim().toLowerCase();
    const changed = form.elements.changed.checked;
    let count = 0;
    for (const {body, rows} of groups) {
      let own = 0;
      for (const {row, name} of rows) {
        row.hidden = !name.includes(wanted) || (changed && !("changed" in row.dataset));
        own += !row.hidden;
      }
      body.hidden = !own;
      count += own;
    }
    form.querySelector("output").textContent = `${count} of ${total} shown`;
  };
  const restore = () => {
    const state = new URLSearchParams(location.hash.slice(1));
    form.elements.q.value = state.get("q") ?? "";
    form.elements.changed.checked = state.has("changed");
    filter();
  };
  form.addEventListener("input", () => {
    filter();
    const state = new URLSearchParams();
    if (form.elements.q.value.trim()) state.set("q", form.elements.q.value.trim());
    if (form.elements.changed.checked) state.set("changed", "1");
    const text = state.toString();
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", restore);
  form.hidden = false;
  restore();
})();
