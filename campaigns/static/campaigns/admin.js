"use strict";
// Tell the server the viewer's time zone, and bring problems next to their fields.
(() => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const said = document.cookie.split("; ").find((c) => c.startsWith("et_zone="));
  if (zone && said !== "et_zone=" + zone) {
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = "et_zone=" + zone + "; path=/; max-age=31536000; SameSite=Lax" + secure;
  }
  document.addEventListener("DOMContentLoaded", () => {
    for (const item of document.querySelectorAll("[data-problem-field]")) {
      const field = document.getElementById("id_" + item.dataset.problemField) ||
        document.getElementById("id_" + item.dataset.problemField + "_0");
      if (!field || field.type === "hidden") continue;
      const note = document.createElement("p");
      note.className = "et-error";
      note.id = field.id + "_problem";
      note.textContent = item.dataset.problem;
      field.setAttribute("aria-describedby", note.id);
      (field.closest(".related-widget-wrapper") || field).insertAdjacentElement("afterend", note);
    }
    // The theme's search fields have a placeholder only.
    for (const search of document.querySelectorAll("input[name='q'], input[type='search']")) {
      if (!search.labels.length && !search.hasAttribute("aria-label")) search.setAttribute("aria-label", "Search");
    }
    for (const form of document.querySelectorAll("form[data-confirm]")) {
      form.addEventListener("submit", (event) => {
        if (!window.confirm(form.dataset.confirm)) event.preventDefault();
      });
    }
  });
})();
