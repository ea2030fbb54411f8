/*
 * Tells the user that this browser cannot receive events. A classic script in old syntax, because a
 * browser without EventSource often cannot load modules either.
 */
(function () {
  function say() {
    document.getElementById("unsupported").hidden = false;
  }
  if (!window.EventSource) {
    // The style sheets hide everything that needs live events.
    document.documentElement.className = "unsupported";
    if (document.readyState === "loading") {
      document.addEventListener("DOMContentLoaded", say);
    } else {
      say();
    }
  }
})();
