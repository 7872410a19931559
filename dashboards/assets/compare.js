"use strict";
// Compares any two builds. What it needs lies beside the page, in files that call `lockstepData`: a page from disk may
// load scripts, and nothing else. What is chosen is in the address: `#base=…&head=…&how=…&q=…&changed=1`.
(() => {
  const FARTHEST = 4; // runs on the way from one build to another
  const MOST = 200; // builds that a list offers; the search finds the others
  const ORDER = {slower: 0, faster: 0, undecided: 1, same: 2};
  const CHANGED = ["faster", "slower"];
  const FLIPPED = {slower: "faster", faster: "slower", "only in base": "only in head", "only in head": "only in base"};
  const COUNTED = {slower: "more", faster: "less"};
  const waiting = new Map();
  const loaded = new Map();
  window.lockstepData = (name, data) => waiting.get(name)?.(data);
  const load = (name) => {
    if (!loaded.has(name)) {
      loaded.set(name, new Promise((resolve, reject) => {
        waiting.set(name, resolve);
        const script = document.createElement("script");
        script.src = `compare/${name}.js`;
        script.onerror = () => reject(new Error(`compare/${name}.js is missing: publish the site again`));
        document.head.append(script);
      }));
    }
    return loaded.get(name);
  };

  const {ratio} = lockstepNumbers;

  let benchmarks = {};
  const record = (mark, [timed, log, se, df, ratio, low, high, verdict]) => {
    const [key, slug] = benchmarks[mark.slice(0, 8)];
    return {key, slug, timed, log, se, df, ratio, low, high, verdict};
  };
  // Through others: the log ratio of head to base, its interval, and what is said of it. As stats/indirect.py has it.
  const indirect = (steps, spread, place) => {
    const parts = steps.map(({one}) => [one.se ** 2, one.df]);
    if (spread) parts.push([steps.length * spread[0], spread[1]]);
    const variance = parts.reduce((sum, [part]) => sum + part, 0);
    const loose = parts.reduce((sum, [part, df]) => sum + part ** 2 / df, 0);
    const df = loose > 0 ? variance ** 2 / loose : Math.min(...parts.map((part) => part[1]));
    const at = Math.floor(Math.min(place.each.length, Math.max(1, df))) - 1;
    const log = steps.reduce((sum, {sign, one}) => sum + sign * one.log, 0);
    const [each, all] = [place.each[at], place.all[at]].map((t) => t * Math.sqrt(variance));
    const state = log > all ? "slower" : log < -all ? "faster"
      : log - each > -place.margin && log + each < place.margin ? "same" : "undecided";
    return {log, state, words: place.words[steps[0].one.timed][state], text: ratio(Math.exp(log), Math.exp(log - each), Math.exp(log + each))};
  };
  // By a run of the two, perhaps the other way round.
  const direct = ({ratio: at, low, high, verdict, timed}, turned) => {
    const state = turned ? FLIPPED[verdict] ?? verdict : verdict;
    const flip = (x) => (x === null ? null : 1 / x);
    const [one, from, to] = turned ? [flip(at), flip(high), flip(low)] : [at, low, high];
    const known = one !== null && one > 0 && Number.isFinite(one);
    return {log: known ? Math.log(one) : 0, state, words: timed ? state : COUNTED[state] ?? state, text: known ? ratio(one, from, to) : "–"};
  };

  const form = document.getElementById("choose");
  const narrow = document.getElementById("narrow");
  const table = document.getElementById("rows");
  const [summary, how, command] = ["summary", "how", "command"].map((id) => document.getElementById(id));
  const heading = document.getElementById("compared");
  let rows = [];

  const state = () => new URLSearchParams(location.hash.slice(1));
  const keep = (changes) => {
    const now = state();
    for (const [key, text] of Object.entries(changes)) {
      if (text) now.set(key, text); else now.delete(key);
    }
    history.replaceState(null, "", `#${now}`);
  };

  const name = (key) => key.split(/(?<=[._])|(?=\()/).flatMap((part, at) => (at ? [document.createElement("wbr"), part] : [part]));
  const show = (found) => {
    rows = found.sort((a, b) => (ORDER[a.state] ?? 3) - (ORDER[b.state] ?? 3) || Math.abs(b.log) - Math.abs(a.log)
      || (a.key < b.key ? -1 : 1)).map((one) => {
      const row = document.createElement("tr");
      const head = document.createElement("th");
      head.scope = "row";
      const link = document.createElement("a");
      link.href = `benchmarks/${one.slug}.html`;
      link.append(...name(one.key));
      head.append(link);
      const number = document.createElement("td");
      number.textContent = one.text;
      const said = document.createElement("td");
      said.textContent = one.words;
      said.className = one.state.replaceAll(" ", "-");
      row.append(head, number, said);
      return {row, name: one.key.toLowerCase(), changed: CHANGED.includes(one.state)};
    });
    table.tBodies[0].replaceChildren(...rows.map(({row}) => row));
    filter();
  };
  const filter = () => {
    const wanted = narrow.elements.q.value.trim().toLowerCase();
    const changed = narrow.elements.changed.checked;
    let count = 0;
    for (const one of rows) {
      one.row.hidden = !one.name.includes(wanted) || (changed && !one.changed);
      count += !one.row.hidden;
    }
    narrow.querySelector("output").textContent = `${count} of ${rows.length} shown`;
  };

  const start = ({builds, places, runs}) => {
    const known = new Map(builds.map((build) => [build[0], build]));
    const {base, head, how: ways, find} = form.elements;

    const offer = (select) => {
      const wanted = find.value.trim().toLowerCase();
      const chosen = select.value;
      const fitting = builds.filter(([id, label]) => id === chosen || label.toLowerCase().includes(wanted));
      const offered = fitting.slice(-MOST).reverse();
      if (known.has(chosen) && !offered.some(([id]) => id === chosen)) offered.push(known.get(chosen));
      select.replaceChildren(...offered.map(([id, label]) => new Option(label, id, id === chosen, id === chosen)));
    };
    // From one build to another over as few runs of one place as can be, and of those the first: what lies on the way, or
    // nothing where it takes too many. `runs` come the best first: `points.best_first`.
    const path = (a, b, place) => {
      const ways = new Map([[a, []]]);
      for (const [here, way] of ways) {
        if (here === b) return way;
        if (way.length === FARTHEST) continue;
        for (const [run, one, other, where] of runs) {
          if (where !== place) continue;
          for (const [from, to, sign] of [[one, other, 1], [other, one, -1]]) {
            if (from === here && !ways.has(to)) ways.set(to, [...way, {run, to, sign}]);
          }
        }
      }
      return null;
    };
    // The ways to compare two builds, the best first: runs of the two, in their order, then others between.
    const between = (a, b) => [
      ...runs.filter(([, one, other]) => (one === a && other === b) || (one === b && other === a)).map(
        ([run, one, , place, day, mean]) => ({
          id: run, run, turned: one !== a, place: places[place], text: `by the run of ${day}, ${places[place].title}`, mean,
        })),
      ...places.flatMap((place, number) => {
        const steps = a === b ? null : path(a, b, number);
        if (!steps || steps.length < 2) return []; // a run of the two says it
        const through = steps.slice(0, -1).map(({to}) => known.get(to)[1]).join(" and ");
        return [{id: place.id, place, steps, through, text: `through ${through}, ${place.title}`}];
      }),
    ];

    let asked = 0;
    const compare = async () => {
      const turn = ++asked;
      const [a, b] = [base.value, head.value];
      const found = between(a, b);
      const way = found.find(({id}) => id === (ways.value || state().get("how"))) ?? found[0];
      ways.replaceChildren(...found.map((one) => new Option(one.text, one.id, one === way, one === way)));
      ways.parentElement.hidden = found.length < 2;
      heading.textContent = `${known.get(a)[1]} → ${known.get(b)[1]}`;
      const [first, kind] = known.get(a).slice(2);
      const suite = (way?.place ?? places[0])?.suite;
      command.textContent = `lockstep ${kind} ${first} ${known.get(b)[2]}${kind === "ab" && suite ? ` --suite ${suite}` : ""}`;
      document.querySelector("#direct button.copy").dataset.copy = command.textContent;
      keep({base: a, head: b, how: found.length > 1 ? way.id : ""});
      if (!way) {
        summary.textContent = a === b ? "These are one build." : "These two cannot be compared from what was measured.";
        how.textContent = a === b ? "" : "No run has both, and on no machine can they be reached from each other over a few runs.";
        show([]);
        return;
      }
      const [content, ...steps] = await Promise.all(way.run ? [load(`run-${way.run}`)]
        : [load(`place-${way.id}`), ...way.steps.map(({run}) => load(`run-${run}`))]);
      if (turn !== asked) return; // another pair was chosen meanwhile
      const results = way.run
        ? Object.entries(content).map(([mark, row]) => record(mark, row)).map((one) => ({...one, ...direct(one, way.turned)}))
        : Object.keys(steps.at(-1)).filter((mark) => steps.every((step) => mark in step)).map((mark) => ({
          mark, steps: steps.map((step, number) => ({sign: way.steps[number].sign, one: record(mark, step[mark])})),
        })).filter((found) => found.steps.every(({one}) => one.log !== null)).map((found) => ({
          ...found.steps.at(-1).one, ...indirect(found.steps, content.spreads[found.mark], content),
        }));
      const counts = new Map();
      for (const one of results) counts.set(one.state, (counts.get(one.state) ?? 0) + 1);
      const words = way.run ? {faster: "faster or less", slower: "slower or more"} : content.all_words;
      const told = (way.run ? [...counts.keys()] : Object.keys(words)).map((one) => `${words[one] ?? one} in ${counts.get(one) ?? 0}`);
      summary.textContent = `head ${told.join(", ")} of ${results.length}`;
      how.replaceChildren();
      if (way.run) {
        const link = document.createElement("a");
        link.href = `runs/${way.run}.html`;
        link.textContent = `run ${way.run}`;
        how.append("Measured against each other in ", link, way.turned ? ", the other way round: ratios are inverted here." : ".");
        if (way.mean && !way.turned) how.append(` Geometric mean of its timings ${way.mean}.`);
      } else {
        how.textContent = content.how.replace("{through}", () => way.through);
      }
      show(results);
    };
    const told = (work) => work().catch((error) => { summary.textContent = error.message; });

    const restore = () => {
      const now = state();
      const [first, second] = [form.dataset.base || builds.at(-2)?.[0], form.dataset.head || builds.at(-1)?.[0]];
      for (const [select, id, otherwise] of [[base, now.get("base"), first], [head, now.get("head"), second]]) {
        const chosen = known.has(id) ? id : otherwise;
        select.replaceChildren(new Option("", chosen, true, true));
        offer(select);
      }
      ways.replaceChildren();
      narrow.elements.q.value = now.get("q") ?? "";
      narrow.elements.changed.checked = now.has("changed");
      told(compare);
    };
    find.addEventListener("input", () => [base, head].forEach(offer));
    for (const select of [base, head]) {
      select.addEventListener("change", () => {
        ways.replaceChildren();
        keep({how: ""});
        told(compare);
      });
    }
    ways.addEventListener("change", () => told(compare));
    form.elements.swap.addEventListener("click", () => {
      const [a, b] = [base.value, head.value];
      for (const [select, id] of [[base, b], [head, a]]) {
        select.replaceChildren(new Option("", id, true, true));
        offer(select);
      }
      told(compare);
    });
    narrow.addEventListener("input", () => {
      filter();
      keep({q: narrow.elements.q.value.trim(), changed: narrow.elements.changed.checked ? "1" : ""});
    });
    for (const one of [form, narrow]) {
      one.addEventListener("submit", (event) => event.preventDefault());
      one.hidden = false;
    }
    addEventListener("hashchange", restore);
    restore();
  };

  Promise.all([load("builds"), load("benchmarks")]).then(([found, names]) => {
    benchmarks = names;
    if (found.builds.length > 1) start(found);
  }).catch((error) => { summary.textContent = error.message; });
})();
