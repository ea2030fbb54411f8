/*
 * Tells the user that this browser cannot receive events. A classic script in old syntax, because a
 * browser without what a page needs often cannot load modules either.
 */
(function () {
  var callout = document.getElementById("unsupported");
  if (!window[callout.getAttribute("data-needs")]) {
    // The style sheets hide everything that needs live events.
    document.documentElement.className = "unsupported";
    callout.hidden = false;
  }
})();
