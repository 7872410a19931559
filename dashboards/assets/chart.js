"use strict";
// Histories as charts: hover, zoom, dates, other axes. Drawn by uPlot from the data beside each figure, which stands there
// for readers without scripts. What a reader has chosen is in the address, as for tables: `#chart-1.scale=log`.
(() => {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const element = (tag, settings = {}, ...content) => {
    const made = Object.assign(document.createElement(tag), settings);
    made.append(...content);
    return made;
  };
  const labelled = (words, input) => element("label", {}, `${words} `, input);
  const select = (options) => element("select", {autocomplete: "off"}, ...Object.entries(options).map(
    ([value, words]) => element("option", {value}, words)));
  const minute = (seconds) => new Date(1000 * seconds).toISOString().slice(0, 16);
  const {factor, ratio: written} = lockstepNumbers;

  // Verdict to its shape: places of its corners, in points. The same as in the figures.
  const shapes = {
    faster: [[3, -4], [3, 4], [-4, 0]], slower: [[-3, -4], [-3, 4], [4, 0]],
    same: [[-2.5, -2.5], [2.5, -2.5], [2.5, 2.5], [-2.5, 2.5]],
  };

  const chart = (box) => {
    const data = JSON.parse(box.querySelector("script").textContent);
    const count = data.ratio.length;
    const figure = document.getElementById(box.dataset.figure);
    // Places of ratios on each kind of axis; 0 where there is no difference. The first is that of the figures.
    const scales = {
      ratio: {
        to: (ratio) => { const log = Math.log(ratio); return Math.sign(log) * Math.asinh(Math.expm1(Math.abs(log)) / data.near); },
        back: (place) => Math.exp(Math.sign(place) * Math.log1p(data.near * Math.sinh(Math.abs(place)))),
      },
      log: {to: Math.log, back: Math.exp},
      linear: {to: (ratio) => ratio - 1, back: (place) => place + 1},
    };
    const scaleBox = select({ratio: "per cent, logarithmic beyond", log: "logarithmic", linear: "linear"});
    const alongBox = select({run: "run by run", date: "by date"});
    const from = element("input", {type: "date"}), to = element("input", {type: "date"});
    const whole = element("button", {type: "button"}, "All runs");
    const plot = element("div", {className: "plot", tabIndex: 0});
    plot.setAttribute("role", "group");
    plot.setAttribute("aria-label", `${box.dataset.label}; arrow keys go from run to run, Enter opens one, plus and minus zoom, Escape shows all`);
    const told = element("output", {className: "told"});
    box.append(element("form", {className: "filter"}, labelled("Axis", scaleBox), labelled("Runs", alongBox),
      labelled("From", from), labelled("to", to), whole), plot, told);
    box.querySelector("form").addEventListener("submit", (event) => event.preventDefault());

    let drawn = null, selected = null, scale = scales.ratio, xs = [], labels = new Map(), view = [0, count - 1];

    const marks = (min, max, most) => {
      const found = [];
      for (const [ratio, label] of data.ticks) {
        const at = scale.to(ratio);
        if (at >= min && at <= max && !found.some((other) => Math.abs(other.at - at) < 0.8 * (max - min) / most)) found.push({at, label});
      }
      // Narrow, and far from any round change: in even steps.
      if (found.length < 3) {
        found.length = 0;
        for (let i = 0; i < 5; i++) {
          const at = min + (max - min) * (i + 0.5) / 5, ratio = scale.back(at);
          const percent = `${ratio >= 1 ? "+" : "−"}${Math.abs(100 * (ratio - 1)).toPrecision(3)} %`;
          found.push({at, label: ratio > 0.5 && ratio < 2 ? percent : written(ratio)});
        }
      }
      labels = new Map(found.map(({at, label}) => [at, label]));
      return found.map(({at}) => at).sort((a, b) => a - b);
    };
    // As narrow as the ratios are; with the line of no difference where that is not far from them.
    const range = (_, low, high) => {
      if (low === null || high === null) return [-1, 1];
      const least = scale.to(1 + 3 * Math.max(data.margin, data.near));
      if (high - low < least) [low, high] = [(low + high - least) / 2, (low + high + least) / 2];
      if (Math.max(low, -high) <= 2 * (high - low)) [low, high] = [Math.min(low, -least / 2), Math.max(high, least / 2)];
      const air = 0.08 * (high - low);
      return [low - air, high + air];
    };

    const paint = (u) => {
      const {ctx, bbox} = u, unit = devicePixelRatio;
      const x = (index) => u.valToPos(xs[index], "x", true);
      const y = (ratio) => Math.max(-1e5, Math.min(1e5, u.valToPos(scale.to(Math.max(ratio, 1e-12)), "y", true)));
      const line = (name, width, dash, trace) => {
        ctx.beginPath(); ctx.strokeStyle = colour(name); ctx.lineWidth = width * unit; ctx.setLineDash(dash.map((one) => one * unit));
        trace(); ctx.stroke(); ctx.setLineDash([]);
      };
      ctx.save();
      ctx.beginPath(); ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height); ctx.clip();
      ctx.fillStyle = colour("band"); ctx.globalAlpha = 0.25;
      const top = y(1 + data.margin);
      ctx.fillRect(bbox.left, top, bbox.width, y(1 / (1 + data.margin)) - top);
      ctx.globalAlpha = 1;
      line("faint", 0.8, [], () => { ctx.moveTo(bbox.left, y(1)); ctx.lineTo(bbox.left + bbox.width, y(1)); });
      line("band", 1, [], () => {
        for (const edge of data.noise) {
          let open = false;
          edge.forEach((ratio, index) => {
            const begins = !open || data.changes.includes(index);
            if (ratio !== null) ctx[begins ? "moveTo" : "lineTo"](x(index), y(ratio));
            open = ratio !== null;
          });
        }
      });
      line("slower", 1, [5, 3], () => {
        for (const index of data.changes) {
          const at = (x(index - 1) + x(index)) / 2;
          ctx.moveTo(at, bbox.top); ctx.lineTo(at, bbox.top + bbox.height);
        }
      });
      line("faint", 1, [], () => data.ratio.forEach((_, index) => {
        if (data.low[index] === null || data.high[index] === null) return;
        ctx.moveTo(x(index), y(data.low[index])); ctx.lineTo(x(index), y(data.high[index]));
      }));
      data.ratio.forEach((ratio, index) => {
        const verdict = data.verdict[index], corners = shapes[verdict];
        ctx.beginPath();
        if (corners) {
          for (const [dx, dy] of corners) ctx.lineTo(x(index) + dx * unit, y(ratio) + dy * unit);
          ctx.closePath(); ctx.fillStyle = colour(verdict === "same" ? "faint" : verdict); ctx.fill();
        } else {
          ctx.arc(x(index), y(ratio), 3 * unit, 0, 2 * Math.PI);
          ctx.strokeStyle = colour("faint"); ctx.lineWidth = 1.2 * unit; ctx.stroke();
        }
        if (index === selected) {
          ctx.beginPath(); ctx.arc(x(index), y(ratio), 8 * unit, 0, 2 * Math.PI);
          ctx.strokeStyle = colour("link"); ctx.lineWidth = 2 * unit; ctx.stroke();
        }
      });
      ctx.restore();
    };

    const address = (index) => `../runs/${encodeURIComponent(data.run[index])}.html`;
    const verdict = (index) => {
      const ratio = data.ratio[index], state = data.verdict[index];
      if (state !== "faster" && state !== "slower") return state;
      return `${factor(Math.max(ratio, 1 / ratio))} ${data.timed ? state : state === "faster" ? "less" : "more"}`;
    };
    const tell = (index) => {
      told.replaceChildren(
        element("a", {href: address(index)}, data.label[index]),
        `, ${minute(data.created[index]).replace("T", " ")}: ${written(data.ratio[index], data.low[index], data.high[index])}, ${verdict(index)}, head ${data.head[index]}`);
    };
    const choose = (index) => {
      selected = Math.max(0, Math.min(count - 1, index));
      if (selected < view[0] || selected > view[1]) {
        const span = view[1] - view[0], first = selected < view[0] ? selected : selected - span;
        look([first, first + span]);
      }
      tell(selected);
      drawn.redraw();
    };

    // What fills a history backwards is measured last, and stands where its commit does: then dates are no way through it.
    const mixed = data.created.some((when, index) => index > 0 && when < data.created[index - 1]);
    if (mixed) {
      alongBox.querySelector("option[value=date]")?.remove();
      for (const one of [from, to]) one.parentElement.remove();
    }

    // Show the runs between two, both included; keep it in the address as the moments of both.
    const show = ([first, last]) => {
      view = [Math.max(0, first), Math.min(count - 1, last)];
      const air = alongBox.value === "date" ? Math.max(0.02 * (xs[view[1]] - xs[view[0]]), 3600) : 0.6;
      drawn.setScale("x", {min: xs[view[0]] - air, max: xs[view[1]] + air});
      from.value = minute(data.created[view[0]]).slice(0, 10);
      to.value = minute(data.created[view[1]]).slice(0, 10);
    };
    const look = ([first, last]) => {
      show([first, last]);
      if (mixed) return;
      const all = view[0] === 0 && view[1] === count - 1;
      lockstep.keep(`${box.id}.from`, all ? "" : minute(data.created[view[0]]));
      lockstep.keep(`${box.id}.to`, all ? "" : minute(data.created[view[1]]));
    };
    const between = (start, end) => {
      if (mixed) return [0, count - 1];
      const first = data.created.findIndex((when) => !start || minute(when) >= start);
      const last = data.created.findLastIndex((when) => !end || minute(when) <= end);
      return first < 0 || last < first ? [0, count - 1] : [first, last];
    };
    const zoom = (factor) => {
      const middle = selected ?? view[1], half = Math.max(1, Math.round((view[1] - view[0]) * factor / 2));
      look([Math.max(0, middle - half), Math.min(count - 1, middle + half)]);
    };

    const draw = () => {
      const byDate = alongBox.value === "date";
      scale = scales[scaleBox.value];
      xs = byDate ? data.created : data.ratio.map((_, index) => index);
      drawn?.destroy();
      const axis = {stroke: () => colour("ink"), grid: {stroke: () => colour("line"), width: 1}, ticks: {show: false}, font: "12px system-ui, sans-serif"};
      drawn = new uPlot({
        width: Math.max(280, plot.clientWidth), height: 280, legend: {show: false},
        tzDate: (seconds) => uPlot.tzDate(new Date(1000 * seconds), "UTC"),
        scales: {x: {time: byDate}, y: {range}},
        axes: [
          byDate ? axis : {...axis, splits: (u, _, min, max) => {
            const step = Math.max(1, Math.ceil((max - min) * 110 / u.width));
            const places = [];
            for (let at = Math.max(0, Math.ceil(min)); at <= Math.min(count - 1, max); at += step) places.push(at);
            return places;
          }, values: (_, places) => places.map((at) => data.label[at].length > 16 ? `${data.label[at].slice(0, 15)}…` : data.label[at])},
          {...axis, size: 64, splits: (u, _, min, max) => marks(min, max, 6), values: (_, places) => places.map((at) => labels.get(at) ?? "")},
        ],
        series: [{}, {paths: () => null, points: {show: false}}],
        cursor: {
          y: false, points: {show: false}, drag: {x: true, y: false, setScale: false},
          bind: {dblclick: () => () => { look([0, count - 1]); return null; }},
        },
        hooks: {
          draw: [paint],
          setCursor: [(u) => { if (u.cursor.idx !== null && u.cursor.idx !== undefined && u.cursor.left >= 0) tell(u.cursor.idx); }],
          setSelect: [(u) => {
            if (u.select.width < 4) return;
            const [start, end] = [u.select.left, u.select.left + u.select.width].map((at) => u.posToVal(at, "x"));
            u.setSelect({left: 0, top: 0, width: 0, height: 0}, false);
            const first = xs.findIndex((at) => at >= start), last = xs.findLastIndex((at) => at <= end);
            if (first >= 0 && last >= first) look([first, last]);
          }],
        },
      }, [xs, data.ratio.map((ratio) => scale.to(ratio))], plot);
      show(view);
    };

    box.hidden = false;
    figure.hidden = true;
    for (const [name, input] of [["scale", scaleBox], ["x", alongBox]]) {
      input.addEventListener("input", () => {
        lockstep.keep(`${box.id}.${name}`, input.selectedIndex ? input.value : "");
        draw();
      });
    }
    for (const input of [from, to]) {
      input.addEventListener("change", () => look(between(from.value && `${from.value}T00:00`, to.value && `${to.value}T23:59`)));
    }
    whole.addEventListener("click", () => look([0, count - 1]));
    const keys = {
      ArrowLeft: () => choose((selected ?? count) - 1), ArrowRight: () => choose((selected ?? view[0] - 1) + 1),
      Home: () => choose(0), End: () => choose(count - 1), "+": () => zoom(0.5), "-": () => zoom(2),
      Escape: () => look([0, count - 1]), Enter: () => { if (selected !== null) location.href = address(selected); },
    };
    plot.addEventListener("keydown", (event) => {
      if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      keys[event.key]();
    });
    lockstep.onRestore(() => {
      const now = lockstep.state();
      for (const [name, input] of [["scale", scaleBox], ["x", alongBox]]) {
        const wanted = now.get(`${box.id}.${name}`);
        input.value = [...input.options].some((one) => one.value === wanted) ? wanted : input.options[0].value;
      }
      view = between(now.get(`${box.id}.from`), now.get(`${box.id}.to`));
      draw();
    });
    let width = plot.clientWidth;
    new ResizeObserver(() => {
      if (!plot.clientWidth || plot.clientWidth === width) return;
      width = plot.clientWidth;
      drawn.setSize({width: Math.max(280, width), height: 280});
    }).observe(plot);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn.redraw());
  };

  for (const box of document.querySelectorAll("div.chart")) chart(box);
})();
