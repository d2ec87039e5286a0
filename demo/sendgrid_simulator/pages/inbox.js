// Fetch the list again every three seconds while the page is visible.
"use strict";
const list = document.getElementById("list");

async function refresh() {
  if (document.hidden) return;
  const query = new URLSearchParams({
    q: list.dataset.search,
    selected: list.dataset.selected,
  });
  try {
    const answer = await fetch(`/list?${query}`);
    if (!answer.ok) return;
    const html = await answer.text();
    if (html !== list.dataset.seen) {
      // The server escapes every value; the page's policy forbids inline scripts.
      list.innerHTML = html;
      list.dataset.seen = html;
    }
  } catch {
    // The simulator was stopped; the next round tries again.
  }
}

setInterval(refresh, 3000);
