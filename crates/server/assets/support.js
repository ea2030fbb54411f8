/*
 * Says in plain words that this browser cannot listen. A classic script in old syntax, because a
 * browser without EventSource is often one that would not load a module either.
 */
(function () {
  function say() {
    document.getElementById("unsupported").hidden = false;
  }
  if (!window.EventSource) {
    // What needs live events is hidden by the style sheets.
    document.documentElement.className = "unsupported";
    if (document.readyState === "loading") {
      document.addEventListener("DOMContentLoaded", say);
    } else {
      say();
    }
  }
})();
