// Keys for whoever has a phone in the other hand. Everything here is also a link or a button.
const GO = { b: "board", a: "attention", t: "triage", d: "day", r: "rooms", m: "messages", e: "results", n: "measures" };
let afterG = 0;

const typing = (e) => e.target.closest("input:not([type=radio],[type=checkbox]), textarea, select, [contenteditable]");
const shown = (e) => e.checkVisibility?.() ?? e.offsetParent !== null;   // nothing in a closed fold
const list = () => [...document.querySelectorAll("[data-list] > *, tbody[data-list] > tr")].filter((e) => !e.classList.contains("part") && shown(e));
const blocks = () => [...document.querySelectorAll(".tray li > a, .line :is(.ex, .many)")].filter(shown);

function step(by) {
  const rows = list();
  if (rows.length) {
    const here = rows.findIndex((r) => r.classList.contains("on"));
    const next = rows[Math.max(0, Math.min(rows.length - 1, here + by))] ?? rows[0];
    rows.forEach((r) => { r.classList.toggle("on", r === next); if (r === next) r.setAttribute("aria-current", "true"); else r.removeAttribute("aria-current"); });
    (next.querySelector("a, button") ?? next).focus();
    next.scrollIntoView({ block: "nearest" });
    return;
  }
  const all = blocks();
  const at = all.findIndex((b) => b === document.activeElement || b.hasAttribute("aria-current"));
  all[Math.max(0, Math.min(all.length - 1, at + by))]?.focus();
}

// A control marked data-key="x" is pressed by x; the first one shown counts.
function press(key) {
  const on = document.querySelector("tr.on, [data-list] > .on");
  const control = [...(on?.querySelectorAll(`[data-key="${key}"]`) ?? []), ...document.querySelectorAll(`[data-key="${key}"]`)].find(shown);
  if (!control || control.disabled) return false;
  if (control.matches("details")) { control.open = true; control.querySelector("input:not([type=hidden]), select, textarea")?.focus(); } else if (control.matches("input, textarea, select")) control.focus(); else control.click();
  return true;
}

document.addEventListener("keydown", (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey) return;
  if (e.key === "Escape") {
    if (document.querySelector("dialog[open]")) return;
    if (typing(e)) { e.target.blur(); return; }
    press("Escape");
    return;
  }
  if (typing(e) || document.querySelector("dialog[open]")) return;
  if (Date.now() - afterG < 1500 && GO[e.key]) {
    afterG = 0;
    const to = document.querySelector(`[data-go="${GO[e.key]}"]`);
    if (to) { e.preventDefault(); to.click(); }
    return;
  }
  afterG = 0;
  switch (e.key) {
    case "/": { const q = document.getElementById("q"); if (q) { e.preventDefault(); q.focus(); q.select(); } break; }
    case "?": e.preventDefault(); document.getElementById("keys")?.showModal(); break;
    case "g": afterG = Date.now(); break;
    case "j": step(1); break;
    case "k": step(-1); break;
    case "Enter": if ((document.activeElement === document.body || document.activeElement.matches("a[aria-current=true]")) && press("Enter")) e.preventDefault(); break;
    default: if (e.key.length === 1 && press(e.key)) e.preventDefault();
  }
});

for (const b of document.querySelectorAll("[data-print]")) { b.hidden = false; b.addEventListener("click", () => print()); }

document.addEventListener("click", (e) => {
  if (e.target.closest("[data-keys]")) { e.preventDefault(); document.getElementById("keys")?.showModal(); }
  const me = document.querySelector(".me[open]");
  if (me && !me.contains(e.target)) me.open = false;
});
