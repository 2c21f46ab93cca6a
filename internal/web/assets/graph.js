// Draws the graphs of a page: who depends on whom, and what follows what. The
// page says the same in words beside each.
(function () {
  "use strict";
  var drawn = new Map(); // element -> {cy, shape, json}
  function ink(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }
  function widest(label) { return Math.max.apply(null, label.split("\n").map(function (l) { return l.length; })); }
  function rows(label) { return label.split("\n").length; }
  function style() {
    var tones = ["bad", "warn", "good", "wait", "busy"];
    return [
      { selector: "node", style: {
        label: "data(label)", shape: "round-rectangle", width: function (n) { return Math.max(44, Math.min(196, widest(n.data("label")) * 6.9 + 4)); }, height: function (n) { return 8 + 14 * rows(n.data("label")); }, padding: "7px", "font-size": 12, "font-family": "system-ui, sans-serif",
        color: ink("--text"), "text-valign": "center", "text-wrap": "wrap", "text-max-width": 190, "background-color": ink("--back"), "border-width": 1.5, "border-color": ink("--strong")
      } },
      { selector: "edge", style: {
        width: 1.5, "line-color": ink("--strong"), "target-arrow-color": ink("--strong"), "target-arrow-shape": "triangle", "arrow-scale": 0.9, "curve-style": "bezier"
      } }
    ].concat(tones.map(function (t) {
      return { selector: "node." + t, style: { "border-color": ink("--" + t), "background-color": ink("--" + t + "-back"), color: ink("--" + t) } };
    }), tones.map(function (t) {
      return { selector: "edge." + t, style: { "line-color": ink("--" + t), "target-arrow-color": ink("--" + t), width: 2 } };
    }), [{ selector: "node.chief", style: { "border-width": 3.5 } }]);
  }
  function classes(n) { return n.tone + (n.role === "cause" || n.role === "chosen" ? " chief" : ""); }
  function elements(g) {
    return (g.nodes || []).map(function (n) { return { data: { id: n.id, label: n.label, href: n.href }, classes: classes(n) }; })
      .concat((g.edges || []).map(function (e) { return { data: { id: e.from + ">" + e.to, source: e.from, target: e.to }, classes: e.tone }; }));
  }
  function shapeOf(g) {
    return JSON.stringify([(g.nodes || []).map(function (n) { return n.id; }), (g.edges || []).map(function (e) { return e.from + ">" + e.to; })]);
  }
  // A graph is as high as it needs to be at its width, within bounds.
  function fit(cy) {
    var el = cy.container(), box = cy.elements().boundingBox(), scale = Math.min(1.1, (el.clientWidth - 36) / box.w);
    el.style.height = Math.max(90, Math.min(520, box.h * scale + 40)) + "px";
    cy.resize();
    cy.fit(undefined, 18);
    if (cy.zoom() > 1.1) { cy.zoom(1.1); cy.center(); }
  }

  function draw(el, g, json) {
    var narrow = el.clientWidth < 480;
    var cy = cytoscape({
      container: el, elements: elements(g), style: style(), userZoomingEnabled: false, userPanningEnabled: el.hasAttribute("data-pan"), boxSelectionEnabled: false, autoungrabify: true,
      layout: { name: "dagre", rankDir: g.down || narrow ? "TB" : "LR", nodeSep: 18, rankSep: narrow ? 34 : 54, animate: false }
    });
    fit(cy);
    cy.on("tap", "node", function (e) { var to = e.target.data("href"); if (to) location.href = to; });
    cy.on("mouseover", "node", function (e) { if (e.target.data("href")) el.style.cursor = "pointer"; });
    cy.on("mouseout", "node", function () { el.style.cursor = ""; });
    drawn.set(el, { cy: cy, shape: shapeOf(g), json: json });
  }
  function all() {
    drawn.forEach(function (d, el) {
      if (!el.isConnected) { d.cy.destroy(); drawn.delete(el); }
    });
    document.querySelectorAll("[data-graph]").forEach(function (el) {
      var source = document.getElementById(el.dataset.graph);
      if (!source) return;
      var json = source.dataset.json, before = drawn.get(el);
      if (before && before.json === json) return;
      var g = JSON.parse(json);
      if (before && before.shape === shapeOf(g)) { // only states changed: nothing moves
        before.json = json;
        g.nodes.forEach(function (n) { before.cy.getElementById(n.id).classes(classes(n)).data("label", n.label); });
        (g.edges || []).forEach(function (e) { before.cy.getElementById(e.from + ">" + e.to).classes(e.tone); });
        return;
      }
      if (before) { before.cy.destroy(); drawn.delete(el); }
      draw(el, g, json);
    });
  }
  function restyle() { drawn.forEach(function (d) { d.cy.style(style()); }); }
  document.addEventListener("refreshed", all);
  document.addEventListener("theme", restyle);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", restyle);
  var resized;
  addEventListener("resize", function () { clearTimeout(resized); resized = setTimeout(function () { drawn.forEach(function (d) { fit(d.cy); }); }, 150); });
  all();
})();
