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

// An exam dragged over a lane: what would follow is said beside it, and shown in full where it is dropped. Nothing changes by either.
const STEP = 5, ASK_MS = 200;   // minutes; between two questions
let dragged = "", over = "", told = "", asking = false;
const hint = board.appendChild(Object.assign(document.createElement("output"), { hidden: true }));
Object.assign(hint.style, {
  position: "fixed", zIndex: 24, maxWidth: "340px", padding: "var(--s1) var(--s2)", background: "var(--paper)",
  border: "var(--line-3)", borderRadius: "var(--r)", boxShadow: "var(--lift)", pointerEvents: "none",
});

function place(e) {
  const line = dragged && e.target.closest('.line[id^="l-"]');
  if (!line) return "";
  const box = line.getBoundingClientRect(), span = Number(board.style.getPropertyValue("--span"));
  const minute = Math.round((e.clientX - box.left) / box.width * span / STEP) * STEP;
  return `${new URLSearchParams({ room: line.id.slice(2), at: new Date(start() + minute * 60_000).toISOString() })}`;
}

// One question at a time, and always about where it is by now.
async function ask() {
  if (asking || !over || over === told) return;
  asking = true;
  const query = told = over;
  try {
    const answer = await fetch(`/exams/${encodeURIComponent(dragged)}/would?${query}`, { credentials: "same-origin" });
    const text = answer.ok ? await answer.text() : "";
    if (query === over && text) { hint.innerHTML = text; hint.hidden = false; }
  } catch { /* dropped there it is asked again */ }
  setTimeout(() => { asking = false; ask(); }, ASK_MS);
}

function leave() {
  over = told = "";
  hint.hidden = true;
}

board.addEventListener("dragstart", (e) => {
  const link = e.target.closest?.(".line a.ex, .tray a");
  dragged = (link && new URL(link.href).searchParams.get("exam")) || "";
  if (dragged) link.dataset.dragged = "";   // what is dragged is not replaced
});
board.addEventListener("dragend", (e) => { delete e.target.closest?.("a")?.dataset.dragged; dragged = ""; leave(); });
document.addEventListener("dragover", (e) => {
  const now = place(e);
  if (!now) { leave(); return; }
  e.preventDefault();
  const left = Math.max(0, Math.min(e.clientX + 16, innerWidth - 356));
  hint.style.inset = e.clientY < innerHeight / 2 ? `${e.clientY + 24}px auto auto ${left}px` : `auto auto ${innerHeight - e.clientY + 24}px ${left}px`;
  if (now !== over) { over = now; hint.hidden = true; }
  ask();
});
board.addEventListener("drop", (e) => {
  const now = place(e);
  if (!now) return;
  e.preventDefault();
  location.href = `/exams/${encodeURIComponent(dragged)}/move?${now}`;
});
