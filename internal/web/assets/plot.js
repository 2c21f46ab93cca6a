// Draws the charts of a page, with the moments that matter as lines.
(function () {
  "use strict";
  var drawn = new Map(); // element -> {plot, json, theme}
  var marks = { began: "--faint", detected: "--bad", acted: "--busy", healed: "--good" };
  function ink(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }

  var fine = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  var coarse = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  var days = new Intl.DateTimeFormat(undefined, { month: "short", day: "2-digit" });

  function lines(data) {
    return {
      hooks: {
        draw: function (u) {
          var c = u.ctx, scale = devicePixelRatio;
          c.save();
          c.lineWidth = 1.5 * scale;
          if (data.limit !== undefined) {
            var y = u.valToPos(data.limit, "y", true);
            c.strokeStyle = ink("--strong");
            c.setLineDash([5 * scale, 4 * scale]);
            c.beginPath(); c.moveTo(u.bbox.left, y); c.lineTo(u.bbox.left + u.bbox.width, y); c.stroke();
            c.setLineDash([]);
          }
          (data.marks || []).forEach(function (m) {
            var x = u.valToPos(new Date(m.at).getTime() / 1000, "x", true);
            if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) return;
            c.strokeStyle = ink(marks[m.what] || "--dim");
            c.setLineDash(m.what === "began" ? [2 * scale, 3 * scale] : []);
            c.beginPath(); c.moveTo(x, u.bbox.top); c.lineTo(x, u.bbox.top + u.bbox.height); c.stroke();
          });
          c.restore();
        }
      }
    };
  }

  function label(labels) {
    var parts = Object.keys(labels || {}).sort().filter(function (k) { return k !== "__name__"; }).map(function (k) { return labels[k]; });
    return parts.join(", ") || "value";
  }
  function show(unit) {
    return function (v) {
      if (v === null || v === undefined) return "";
      if (unit === "s") return v >= 1 ? +v.toFixed(2) + " s" : +(v * 1000).toPrecision(3) + " ms";
      return String(+v.toPrecision(3));
    };
  }

  function draw(el, json) {
    var data = JSON.parse(json);
    var text = ink("--dim"), grid = ink("--line"), format = show(data.unit);
    var axis = { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: "12px system-ui, sans-serif" };
    var colours = ["--text", "--faint", "--strong"], dashes = [undefined, [6, 3], [2, 2]];
    var top = data.limit === undefined ? -Infinity : data.limit;
    var plot = new uPlot({
      width: el.clientWidth, height: 170, plugins: [lines(data)], legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { show: false } },
      scales: { y: { range: function (u, low, high) { return uPlot.rangeNum(Math.min(low, 0), Math.max(high, top * 1.1, low === high ? low + 1 : low), 0.08, true); } } },
      axes: [Object.assign({}, axis, { space: 76, size: 32, values: function (u, list, i, space, step) { return list.map(function (t) { return (step < 60 ? fine : step < 43200 ? coarse : days).format(t * 1000); }); } }), Object.assign({}, axis, { size: 62, values: function (u, list) { return list.map(format); } })],
      series: [{}].concat(data.curves.map(function (c, i) {
        return { label: label(c.labels), stroke: ink(colours[i % 3]), width: 1.5, dash: dashes[Math.floor(i / 3) % 3], points: { show: false }, spanGaps: false };
      }))
    }, [data.times].concat(data.curves.map(function (c) { return c.values; })), el);
    drawn.set(el, { plot: plot, json: json });
  }

  function all(again) {
    drawn.forEach(function (d, el) {
      if (!el.isConnected) { d.plot.destroy(); drawn.delete(el); }
    });
    document.querySelectorAll("[data-plot]").forEach(function (el) {
      var source = document.getElementById(el.dataset.plot);
      if (!source || !el.clientWidth) return;
      var before = drawn.get(el), json = source.dataset.json;
      if (before && before.json === json && !again) return;
      if (before) { before.plot.destroy(); drawn.delete(el); }
      draw(el, json);
    });
  }
  document.addEventListener("refreshed", function () { all(false); });
  document.addEventListener("theme", function () { all(true); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", function () { all(true); });
  var resized;
  addEventListener("resize", function () { clearTimeout(resized); resized = setTimeout(function () { all(true); }, 150); });
  all(false);
})();
