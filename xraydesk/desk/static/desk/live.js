// Keeps a page as fresh as the desk: a stream says only "at revision N", then the page is
// fetched again and what changed is put in place. What has focus, is dragged or typed in stays.
const STALE_MS = 10_000, FETCH_GAP_MS = 1_000, RETRY_MS = 5_000, HEARD_MS = 20_000;
const state = document.querySelector(".live[data-stream]");
const clock = state?.querySelector("time");
const shift = state ? Date.parse(state.dataset.liveAt) - Date.now() : 0;   // the desk's clock, not this machine's
let seen = state?.dataset.revision, wanted = seen, fresh = Date.now(), heard = Date.now();
let stream, busy = false, last = 0, timer = 0;

const now = () => Date.now() + shift;
const two = (n) => String(n).padStart(2, "0");
const offset = /([+-])(\d\d):(\d\d)$/.exec(clock?.dateTime ?? "");
const zone = offset ? Number(`${offset[1]}1`) * (Number(offset[2]) * 60 + Number(offset[3])) : 0;   // minutes east of Greenwich, of the department
const wall = (ms) => { const d = new Date(ms + zone * 60_000); return `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}`; };

function say() {
  if (!state) return;
  const old = Date.now() - fresh > STALE_MS;
  state.toggleAttribute("data-stale", old);
  const word = old ? "as of" : "Live", at = wall(old ? fresh + shift : now());
  if (state.firstElementChild.textContent !== word) state.firstElementChild.textContent = word;
  if (clock.textContent !== at) clock.textContent = at;
  if (!old) document.dispatchEvent(new CustomEvent("desk:tick", { detail: now() }));
}

// Minutes that count by themselves: up from the moment in data-since, down to the one in data-until.
function count() {
  for (const e of document.querySelectorAll("[data-since], [data-until]")) {
    const ms = e.dataset.since ? now() - Date.parse(e.dataset.since) : Date.parse(e.dataset.until) - now();
    const minutes = Math.max(0, e.dataset.since ? Math.floor(ms / 60_000) : Math.ceil(ms / 60_000));
    const text = (e.dataset.form ?? "# min").replace("#", minutes);
    if (e.firstChild?.nodeType === 3) { if (e.firstChild.data !== text) e.firstChild.data = text; } else e.prepend(text);
  }
}

// As the server wrote it, without what counts by itself.
const served = (e) => { const c = e.cloneNode(true); for (const t of [c, ...c.querySelectorAll("[data-since]")]) if (t.dataset?.since && t.firstChild?.nodeType === 3) t.firstChild.data = ""; return c.outerHTML; };
const kept = new Map();
const parts = (root) => [...root.querySelectorAll("[data-live]")].filter((e) => e.id);
const untouchable = (e) => e.contains(document.activeElement) && document.activeElement !== document.body || e.querySelector("[data-dragged], dialog[open]") || [...e.querySelectorAll("input:not([type=hidden]), textarea, select")].some((i) => i.type === "radio" || i.type === "checkbox" ? i.checked !== i.defaultChecked : i.matches("select") ? [...i.options].some((o) => o.selected !== o.defaultSelected) && i.dataset.touched : i.value !== i.defaultValue);

// Puts what differs in `next` in its place. `calm` after an own click: nothing lights up, and what has focus is no obstacle.
function put(next, calm = false) {
  const focused = document.activeElement?.closest("[data-live]")?.id;
  const there = new Map(parts(next).map((e) => [e.id, e]));
  for (const [id, e] of there) {
    let mine = document.getElementById(id);
    const text = served(e);
    const home = e.parentElement.id ? document.getElementById(e.parentElement.id) : mine?.parentElement ?? document.querySelector("main");
    if (mine && (kept.get(id) === text && mine.parentElement === home || !calm && untouchable(mine))) continue;
    if (mine && mine.parentElement !== home) { mine.remove(); mine = null; }
    if (!home) continue;
    const copy = document.importNode(e, true), scroll = mine?.querySelector(".body")?.scrollTop ?? 0;
    if (mine) mine.replaceWith(copy); else home.insertBefore(copy, e.parentElement.id ? home.children[[...e.parentElement.children].indexOf(e)] ?? null : null);
    if (scroll && !calm) copy.querySelector(".body").scrollTop = scroll;
    if (!calm && e.matches("li, tr")) copy.classList.add("changed");
    if (calm && id === focused) copy.querySelector("a")?.focus({ preventScroll: true });
    kept.set(id, text);
  }
  for (const mine of parts(document)) if (!there.has(mine.id) && (calm || !untouchable(mine))) { mine.remove(); kept.delete(mine.id); }
  const style = next.querySelector("main")?.getAttribute("style"), main = document.querySelector("main");
  if (style && main.getAttribute("style") !== style) main.setAttribute("style", style);
  const from = next.querySelector("main")?.dataset.start;
  if (from) main.dataset.start = from;
  count();
}

// Another state of this page (a chosen exam): true where it could be put in place.
async function visit(url) {
  try {
    const answer = await fetch(url, { headers: { "X-Live": "1" }, credentials: "same-origin" });
    if (!answer.ok || answer.redirected) return false;
    put(new DOMParser().parseFromString(await answer.text(), "text/html"), true);
    return true;
  } catch { return false; }
}

document.addEventListener("desk:visit", (e) => visit(e.detail.url).then((ok) => e.detail.then(ok)));

async function refresh() {
  if (busy || document.hidden) return;
  const wait = last + FETCH_GAP_MS - Date.now();
  if (wait > 0) { clearTimeout(timer); timer = setTimeout(refresh, wait); return; }
  busy = true; last = Date.now();
  try {
    const answer = await fetch(location.href, { headers: { "X-Live": "1" }, credentials: "same-origin" });
    if (answer.redirected && new URL(answer.url).pathname !== location.pathname) { location.reload(); return; }
    if (answer.ok) {
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      put(next);
      seen = next.querySelector(".live")?.dataset.revision ?? wanted;
      fresh = heard = Date.now();
    }
  } catch { /* shown as "as of" by itself */ } finally {
    busy = false; say();
    if (Number(wanted) > Number(seen)) { clearTimeout(timer); timer = setTimeout(refresh, FETCH_GAP_MS); }
  }
}

function listen() {
  stream?.close();
  stream = new EventSource(state.dataset.stream);
  stream.addEventListener("revision", (e) => {
    heard = Date.now();
    wanted = e.data;
    if (Number(wanted) <= Number(seen)) { fresh = Date.now(); say(); } else setTimeout(refresh, Math.random() * 250);
  });
  stream.onerror = () => { if (stream.readyState === EventSource.CLOSED) setTimeout(listen, RETRY_MS); };
}

if (state) {
  for (const e of parts(document)) kept.set(e.id, served(e));
  listen();
  setInterval(() => {
    if (Date.now() - heard > HEARD_MS) { heard = Date.now(); listen(); refresh(); }
    // What goes on without a fact, a trial under way, is asked for again.
    if (document.querySelector("[data-again]")) refresh();
    say(); count();
  }, 1000);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) { if (stream.readyState !== EventSource.OPEN) listen(); refresh(); } });
  addEventListener("pageshow", (e) => { if (e.persisted) { listen(); refresh(); } });
  addEventListener("pagehide", () => stream.close());
  count();
}
