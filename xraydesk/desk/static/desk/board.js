// The board by itself: the now line moves, a click fills the panel without losing the place.
const board = document.querySelector("main.board");
const start = () => Date.parse(board.dataset.start);

const visit = (url) => new Promise((then) => document.dispatchEvent(new CustomEvent("desk:visit", { detail: { url, then } })));

document.addEventListener("desk:tick", (e) => {
  if (!("today" in board.dataset)) return;
  const span = Number(board.style.getPropertyValue("--span")), minute = Math.floor((e.detail - start()) / 60_000);
  if (minute >= 0 && minute <= span) board.style.setProperty("--now", minute);
  const shown = document.querySelector(".live time")?.textContent, label = board.querySelector(".axis b");
  if (label && shown && label.textContent !== shown) label.textContent = shown;
});

// Blocks, the tray, the panel's cross and the day's links lead to this same page: fetch it and put what differs in place.
board.addEventListener("click", (e) => {
  const link = e.target.closest(".line a, .tray a, .panel > footer a[data-key=Escape]");
  if (!link || e.ctrlKey || e.metaKey || e.shiftKey || e.button) return;
  const to = new URL(link.href);
  if (to.pathname !== location.pathname) return;
  e.preventDefault();
  visit(to.href).then((ok) => { if (ok) history.pushState(null, "", to.href); else location.href = to.href; });
});
addEventListener("popstate", () => visit(location.href).then((ok) => { if (!ok) location.reload(); }));

// An exam dropped on a lane: what would follow is shown first, nothing has changed yet.
const STEP = 5;   // minutes
let dragged = "";
board.addEventListener("dragstart", (e) => { const link = e.target.closest?.(".line a.ex, .tray a"); dragged = (link && new URL(link.href).searchParams.get("exam")) || ""; });
board.addEventListener("dragend", () => { dragged = ""; });
board.addEventListener("dragover", (e) => { if (dragged && e.target.closest('.line[id^="l-"]')) e.preventDefault(); });
board.addEventListener("drop", (e) => {
  const line = e.target.closest('.line[id^="l-"]');
  if (!dragged || !line) return;
  e.preventDefault();
  const box = line.getBoundingClientRect(), span = Number(board.style.getPropertyValue("--span"));
  const minute = Math.round((e.clientX - box.left) / box.width * span / STEP) * STEP;
  const at = new Date(start() + minute * 60_000).toISOString();
  location.href = `/exams/${encodeURIComponent(dragged)}/move?${new URLSearchParams({ room: line.id.slice(2), at })}`;
});
