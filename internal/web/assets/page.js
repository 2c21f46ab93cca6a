// What every page does in the browser: times in the viewer's zone, the theme,
// whether the page is live, and what stays as it is when a page is refreshed.
(function () {
  "use strict";

  // Times come in UTC and are shown in the viewer's zone, with UTC on hover.
  var dayTime = new Intl.DateTimeFormat(undefined, { month: "short", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  var withYear = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  var clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  function local(tag) {
    var at = new Date(tag.getAttribute("datetime"));
    if (isNaN(at)) return;
    var now = new Date();
    var format = tag.dataset.show === "clock" || at.toDateString() === now.toDateString() ? clock : at.getFullYear() === now.getFullYear() ? dayTime : withYear;
    var text = format.format(at);
    if (tag.textContent !== text) tag.textContent = text;
  }
  function localAll(root) {
    root.querySelectorAll("time[datetime]").forEach(local);
    root.querySelectorAll("[data-zone]").forEach(function (note) { if (note.textContent !== zone) note.textContent = zone; });
    root.querySelectorAll("input[data-utc]").forEach(localField);
  }

  // What is typed as a time is of the viewer's zone too, and is sent as UTC.
  var zone = "(" + new Intl.DateTimeFormat(undefined, { timeZoneName: "short" }).formatToParts(new Date()).find(function (p) { return p.type === "timeZoneName"; }).value + ")";
  function localField(field) {
    if (field.dataset.shown === field.dataset.utc) return;
    var at = new Date(field.dataset.utc);
    field.dataset.shown = field.dataset.utc;
    if (!isNaN(at)) field.value = new Date(at - at.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
  }
  document.addEventListener("formdata", function (e) {
    e.target.querySelectorAll('input[type="datetime-local"]').forEach(function (field) {
      var at = new Date(field.value);
      if (field.value && !isNaN(at)) e.formData.set(field.name, at.toISOString());
    });
  });

  // The theme: the system's until one is chosen.
  function dark() {
    var chosen = document.documentElement.dataset.theme;
    return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  }
  function themeButton() {
    var button = document.getElementById("theme");
    if (!button) return;
    button.addEventListener("click", function () {
      var next = dark() ? "light" : "dark";
      document.documentElement.dataset.theme = next;
      try { localStorage.setItem("theme", next); } catch (e) { /* storage is off: it holds for this page */ }
      document.dispatchEvent(new CustomEvent("theme"));
    });
  }

  // Live or not: a stream that is gone for a moment is opened again by itself;
  // when it stays away, the page says from when it is.
  var lost = null, lastFresh = new Date(), wasLost = false;
  function fresh() { lastFresh = new Date(); }
  function pulse(state, word) {
    var p = document.getElementById("pulse");
    if (!p) return;
    p.dataset.state = state;
    document.getElementById("pulse-word").textContent = word;
  }
  function offline() {
    wasLost = true;
    if (lost) return;
    lost = setTimeout(function () {
      pulse("off", "not live");
      var since = document.getElementById("stale-since");
      since.setAttribute("datetime", lastFresh.toISOString());
      since.title = lastFresh.toISOString();
      since.textContent = clock.format(lastFresh);
      document.getElementById("stale").hidden = false;
      document.body.classList.add("is-stale");
    }, 2000);
  }
  function online() {
    clearTimeout(lost);
    lost = null;
    pulse("on", "live");
    document.getElementById("stale").hidden = true;
    document.body.classList.remove("is-stale");
    if (!wasLost) return;
    wasLost = false;
    var listen = document.getElementById("listen");
    if (listen) htmx.trigger(listen, "again"); // what happened meanwhile
  }
  // A browser opens a stream that ended again by itself: only one that it gives
  // up is the extension's to open.
  htmx.createEventSource = function (url) {
    var source = new EventSource(url);
    Object.defineProperty(source, "onerror", {
      set: function (given) {
        source.addEventListener("error", function (e) {
          offline();
          if (source.readyState === EventSource.CLOSED) given(e);
        });
      }
    });
    return source;
  };
  document.addEventListener("htmx:sseOpen", function (e) {
    if (e.target.id !== "listen") return;
    e.detail.source.addEventListener("signedout", function () { location.reload(); });
    online();
  });
  document.addEventListener("htmx:sendError", offline);

  // A refresh leaves alone what a person is in the middle of: what they typed,
  // what they opened, and what a script has drawn.
  function typed(node) {
    return node.nodeType === 1 && !node.hidden && (node.tagName === "TEXTAREA" || node.tagName === "SELECT" || (node.tagName === "INPUT" && node.type !== "hidden"));
  }
  Idiomorph.defaults.callbacks.beforeNodeMorphed = function (before) {
    return !(before.nodeType === 1 && (typed(before) || before.hasAttribute("data-keep")));
  };
  Idiomorph.defaults.callbacks.beforeAttributeUpdated = function (name, node) {
    if (name === "open" && node.tagName === "DETAILS") return false;
    if (node.tagName === "TIME" && name === "title") return true;
  };
  document.addEventListener("htmx:afterRequest", function (e) {
    var d = e.detail;
    if (!d.successful) return;
    fresh();
    if (d.requestConfig && d.requestConfig.verb === "post") {
      document.getElementById("notice").textContent = "";
      if (d.elt.reset && d.elt.isConnected && !d.elt.hasAttribute("data-stay")) d.elt.reset();
    }
  });
  document.addEventListener("htmx:afterSettle", function () { localAll(document); document.dispatchEvent(new CustomEvent("refreshed")); });

  // A menu closes when one looks elsewhere.
  document.addEventListener("click", function (e) {
    document.querySelectorAll("details.menu[open]").forEach(function (m) { if (!m.contains(e.target)) m.open = false; });
  });
  document.addEventListener("keydown", function (e) {
    if (e.key === "Escape") document.querySelectorAll("details.menu[open]").forEach(function (m) { m.open = false; m.querySelector("summary").focus(); });
  });

  // Where the navigation is wider than the window, the page one is on is in view.
  var here = document.querySelector(".top nav [aria-current]");
  if (here) here.closest("nav").scrollLeft = here.offsetLeft - 60;

  localAll(document);
  themeButton();
})();
